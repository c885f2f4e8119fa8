"""Waiting for a condition: no test sleeps for a fixed time."""

import os
import time

# Of what is promised in no time of its own; generous: the machine may be compiling.
BOUND = float(os.environ.get("DISPATCH_TEST_BOUND", 20))
STEP = 0.02


def eventually(probe, what: str, bound: float | None = None, step: float = STEP):
    """Polls until probe() is true and returns what it gave. What it asserts, or takes from an answer
    by a place or a name that is not there, is a no yet."""
    bound = BOUND if bound is None else bound
    deadline = time.monotonic() + bound
    last = None
    while True:
        try:
            last = probe()
            if last:
                return last
        except (AssertionError, LookupError) as fault:
            last = fault
        if time.monotonic() > deadline:
            cause = last if isinstance(last, Exception) else None
            raise AssertionError(f"not within {bound:g} s: {what}; last seen: {last!r}") from cause
        time.sleep(step)


def throughout(probe, what: str, span: float, step: float = STEP) -> None:
    """The opposite: probe() must hold for the whole span; for what must *not* happen."""
    deadline = time.monotonic() + span
    while time.monotonic() < deadline:
        seen = probe()
        assert seen, f"did not hold for {span:g} s: {what}; seen: {seen!r}"
        time.sleep(step)
