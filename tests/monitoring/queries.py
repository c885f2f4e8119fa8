"""Metric names: those that a PromQL query asks for, and those that the services' sources register."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("common", "broker-adapters", "api-gateway", "event-manager", "function-manager", "identity")
# Of Prometheus itself.
PROMETHEUS = {"up"}
WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end", "atan2"}
GROUPING = r"\b(?:by|without|on|ignoring|group_left|group_right)\b\s*\([^)]*\)"


def names_in(query: str) -> set[str]:
    """Everything in `query` that is no function, label, string, number or keyword."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', "", query)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(GROUPING, " ", bare)
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\b", " ", bare)
    found = re.findall(r"(?<![\w.$])([a-zA-Z_:][\w:]*)(?!\s*\(|\w)", bare)
    return {name for name in found if name.lower() not in WORDS}


def registered() -> tuple[set[str], set[str]]:
    """(all names, those of histograms) as the C++ sources, but for tests, make them."""
    names, histograms = set(), set()
    for folder in SOURCES:
        for path in [*(ROOT / folder).rglob("*.cc"), *(ROOT / folder).rglob("*.h")]:
            if path.name.endswith("_test.cc") or {"testing", "contract"} & set(path.parts):
                continue
            text = path.read_text()
            names |= set(re.findall(r'"((?:dispatch|kafka|kminion|burrow|process)_[a-z0-9_]+)"', text))
            histograms |= set(re.findall(r'GetHistogram\(\s*"([a-z0-9_]+)"', text))
    return names, histograms


def known() -> set[str]:
    names, histograms = registered()
    series = {name + end for name in histograms for end in ("_bucket", "_sum", "_count")}
    return (names - histograms) | series | PROMETHEUS
