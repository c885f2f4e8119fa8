"""`dispatch up`, `status` and `down`: the local stack from the command line, with a home of its
own. Kafka and PostgreSQL are enough to see that the words get there and what they do."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from lib.stack import ROOT, SERVICES, Stack, environment_for, is_running

BINARY = ROOT / "build" / os.environ.get("DISPATCH_PRESET", "release") / "bin" / "dispatch"

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")

UP = ("up", "--no-build", "--only", "kafka,postgres")


@pytest.fixture
def dispatch():
    """dispatch("status") -> the finished process, run in a home that is gone after the test."""
    with tempfile.TemporaryDirectory(prefix="dispatch-local.") as folder:
        Path(folder).chmod(0o755)  # root's PostgreSQL runs as user postgres
        home = Path(folder) / "home"

        def run(*words: str, code: int = 0):
            done = subprocess.run(
                [BINARY, *words],
                env=environment_for(home),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=90,
                cwd=folder,
            )
            assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
            return done

        run.home = home
        yield run
        run("down", "--purge")


def rows_of(status) -> dict[str, list[str]]:
    """Part -> the fields of its row."""
    table = status.stdout.split("\n\n")[0].splitlines()
    assert table[0].split() == ["PART", "STATE", "PID", "PORT", "MEMORY", "UPTIME"]
    return {line.split()[0]: line.split()[1:] for line in table[1:]}


def pids_in(home: Path) -> dict[str, int]:
    return {f.stem: int(f.read_text().split()[0]) for f in (home / "run").glob("*.pid")}


def test_up_status_down(dispatch):
    assert "up" in dispatch("status", code=1).stderr, "it says how to start one"
    up = dispatch(*UP, "--ports", "auto")
    assert "Kafka" in up.stdout and "PostgreSQL" in up.stdout
    pids = pids_in(dispatch.home)
    assert set(pids) == {"kafka", "postgres"}

    rows = rows_of(dispatch("status"))
    for part, pid in pids.items():
        assert rows[part][:2] == ["running", str(pid)]
    for service in SERVICES:
        assert rows[service][0] == "stopped"
    environment = (dispatch.home / "run" / "env").read_text()
    assert f"127.0.0.1:{rows['kafka'][2]}" in environment

    again = dispatch(*UP, "--ports", "auto")
    assert pids_in(dispatch.home) == pids, "the second one leaves alone what runs"
    assert again.stdout.splitlines()[-3:] == up.stdout.splitlines()[-3:]

    assert "stopped: kafka postgres" in dispatch("down").stdout
    assert not [pid for pid in pids.values() if is_running(pid)]
    assert {row[0] for row in rows_of(dispatch("status")).values()} == {"stopped"}
    assert "nothing was running" in dispatch("down").stdout

    assert (dispatch.home / "kafka").exists(), "the data outlives it"
    dispatch("down", "--purge")
    assert not dispatch.home.exists()
    assert "nothing in" in dispatch("down", "--purge").stdout


def test_a_part_that_died_is_told_and_comes_back(dispatch):
    dispatch(*UP, "--ports", "auto")
    port = rows_of(dispatch("status"))["postgres"][2]
    os.kill(pids_in(dispatch.home)["postgres"], signal.SIGKILL)
    assert rows_of(dispatch("status", code=1))["postgres"][0] == "died"
    dispatch(*UP)
    state, _, port_now, *_ = rows_of(dispatch("status"))["postgres"]
    assert (state, port_now) == ("running", port)


def test_words_go_to_the_script_as_they_are(dispatch):
    assert "--ports auto" in dispatch("up", "--help").stdout
    assert "--purge" in dispatch("down", "--help").stdout
    assert "see up --help" in dispatch("up", "--nonsense", code=2).stderr
