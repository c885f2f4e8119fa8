"""Checks that are counted by group; those that do not hold are printed."""


class Report:
    def __init__(self, name: str):
        self.name = name
        self.counts: dict[str, int] = {}
        self.failures = 0

    def check(self, group: str, good: bool, message: str) -> bool:
        self.counts[group] = self.counts.get(group, 0) + 1
        if not good:
            self.failures += 1
            print(f"FAILED {group}: {message}")
        return good

    def summary(self) -> str:
        figures = ", ".join(f"{count} {group}" for group, count in self.counts.items())
        return f"{self.name}: {figures}: {'all hold' if not self.failures else f'{self.failures} FAILED'}"
