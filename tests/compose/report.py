"""What was checked, a line each, and how it came out."""


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good: bool, what: str, detail: str = "") -> bool:
        """what: what holds, if it does; detail: figures, or why not."""
        self.passed += bool(good)
        self.failed += not good
        print(f"  {'ok    ' if good else 'FAILED'}  {what}{': ' + detail if detail else ''}", flush=True)
        return bool(good)

    def none(self, faults: list, what: str, detail: str = "") -> bool:
        """A check that holds when nothing was found against it."""
        shown = "; ".join(map(str, faults[:8])) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else "")
        return self.check(not faults, what, shown if faults else detail)

    def say(self, text: str) -> None:
        print(text, flush=True)
