"""What the services take while nothing happens."""

from pathlib import Path

import pytest
from lib.stack import SERVICES
from lib.wait import eventually

MOST_THREADS = 30  # with one broker: each more is a thread of each connection


@pytest.mark.alone
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_at_rest_has_few_threads(stack, service):
    task = Path(f"/proc/{stack.pid(service)}/task")

    def few():
        names = [(thread / "comm").read_text().strip() for thread in task.iterdir()]
        assert len(names) < MOST_THREADS, sorted(names)
        return True

    # Connections to PostgreSQL that only a crowd needs go after half a minute.
    eventually(few, f"{service} has fewer than {MOST_THREADS} threads", 90)
