"""The checks of tests/monitoring/run, which says what they are about. Each failure is a line; the last
line is a summary."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from cases import CASES, promtool_test
from queries import ROOT, known, names_in, registered

sys.path.append(str(ROOT / "tests"))

from lib.report import Report  # noqa: E402

MONITORING = ROOT / "deploy/monitoring"
RULES = MONITORING / "alerts.yaml"
BOARD = MONITORING / "grafana/dispatch.json"
PAGE = ROOT / "docs/observability.md"
RUNBOOK = ROOT / "docs/runbook.md"
SCRAPING = MONITORING / "prometheus.yaml"
WIDTH = 24  # columns of a board
WITHOUT_QUERY = ("row", "text")


def alerts() -> list[dict]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels_of(board: dict) -> list[dict]:
    """Those in closed rows too."""
    return [p for panel in board["panels"] for p in (panel, *panel.get("panels", []))]


def queries_of(board: dict) -> dict[str, str]:
    """Where -> query, with what Grafana fills in filled in."""
    found = {}
    for panel in panels_of(board):
        for target in panel.get("targets", []):
            found[f"panel {panel['id']} {target['refId']}"] = target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            inner = re.fullmatch(r"label_values\((.*), *\w+\)", variable["query"]["query"])
            found[f"variable {variable['name']}"] = inner[1] if inner else ""
    for note in board["annotations"]["list"]:
        if "expr" in note:
            found[f"annotation {note['name']}"] = note["expr"]
    filled = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "1m"}
    for where, query in found.items():
        for name, value in filled.items():
            query = query.replace(name, value)
        found[where] = re.sub(r"\$\{?\w+(:\w+)?\}?", ".*", query)
    return found


def check_rules(report: Report, names: set[str]) -> None:
    runbook = {
        line[3:].strip().lower(): line for line in RUNBOOK.read_text().splitlines() if line.startswith("## ")
    }
    rules = alerts()
    titles = [rule["alert"] for rule in rules]
    report.check("rules", len(titles) == len(set(titles)), "two alerts have one name")
    for rule in rules:
        name = rule["alert"]
        missing = names_in(rule["expr"]) - names
        report.check("metrics", not missing, f"{name}: no service has {sorted(missing)}")
        notes = rule.get("annotations", {})
        report.check("rules", {"summary", "description", "runbook"} == notes.keys(), f"{name}: {sorted(notes)}")
        severity = rule.get("labels", {}).get("severity")
        report.check("rules", severity in ("critical", "warning"), f"{name}: severity {severity}")
        where = f"docs/runbook.md#{name.lower()}"
        report.check("runbook", notes.get("runbook") == where, f"{name}: its runbook is not {where}")
        report.check("runbook", name.lower() in runbook, f"docs/runbook.md has no section ## {name}")
        cases = [case for case in CASES if case.alert == name]
        report.check("cases", bool(cases), f"cases.py never lets {name} fire")
    stale = set(runbook) - {title.lower() for title in titles}
    report.check("runbook", not stale, f"docs/runbook.md has sections of no alert: {sorted(stale)}")


def check_board(report: Report, names: set[str]) -> dict:
    board = json.loads(BOARD.read_text())
    panels = panels_of(board)
    ids = [panel["id"] for panel in panels]
    report.check("board", len(ids) == len(set(ids)), f"panel ids repeat: {sorted(ids)}")
    report.check("board", bool(board.get("uid")) and board.get("id") is None, "wants a uid and no id of a server")
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    source = variables.get("datasource", {})
    report.check("board", (source.get("type"), source.get("query")) == ("datasource", "prometheus"),
                 "has no variable datasource of Prometheus")  # fmt: skip
    taken: dict[tuple[int, int], int] = {}
    for panel in board["panels"]:
        what, at = f"panel {panel['id']} {panel.get('title')!r}", panel["gridPos"]
        report.check("board", at["x"] + at["w"] <= WIDTH, f"{what} is wider than the board")
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        over = {taken[cell] for cell in cells & taken.keys()}
        report.check("board", not over, f"{what} lies on {over}")
        taken |= dict.fromkeys(cells, panel["id"])
    for panel in panels:
        what = f"panel {panel['id']} {panel.get('title')!r}"
        if panel["type"] in WITHOUT_QUERY:
            continue
        report.check("board", bool(panel.get("title")) and bool(panel.get("description")),
                     f"{what}: title and description")  # fmt: skip
        report.check("board", bool(panel["fieldConfig"]["defaults"].get("unit")), f"{what} has no unit")
        report.check("board", bool(panel.get("targets")), f"{what} asks nothing")
        for thing in (panel, *panel.get("targets", [])):
            uid = thing.get("datasource", {}).get("uid")
            report.check("board", uid == "${datasource}", f"{what} asks the data source {uid}")
        refs = [target["refId"] for target in panel.get("targets", [])]
        report.check("board", len(refs) == len(set(refs)), f"{what}: refIds repeat")
    for where, query in queries_of(board).items():
        missing = names_in(query) - names
        report.check("metrics", bool(names_in(query)) and not missing, f"{where}: no service has {sorted(missing)}")
    return board


def check_page(report: Report) -> None:
    """docs/observability.md has each metric, and none that there is not."""
    told = set(re.findall(r"`((?:dispatch|kafka|kminion|burrow|process)_[a-z0-9_]+)`", PAGE.read_text()))
    there, _ = registered()
    for name in sorted(told | there):
        if name.endswith("_audit_entries_total"):  # of each service; the name is put together
            continue
        report.check("documented", name in told, f"docs/observability.md does not have {name}")
        report.check("documented", name in there, f"docs/observability.md has {name}, no service does")


def run_promtool(report: Report, promtool: str, board: dict) -> None:
    def run(group: str, what: str, *arguments: str) -> None:
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True)
        report.check(group, done.returncode == 0, f"{what}: {done.stdout}{done.stderr}")

    run("promtool", "rules", "check", "rules", str(RULES))
    run("promtool", "scraping", "check", "config", "--syntax-only", str(SCRAPING))
    for where, query in queries_of(board).items():
        run("queries", where, "--experimental", "promql", "format", query)
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(CASES):
            path = Path(folder) / f"{number}.yaml"
            path.write_text(json.dumps(promtool_test(case, str(RULES.resolve()))))
            run("fired", f"{case.alert} ({case.what})", "test", "rules", str(path))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--promtool")
    options = parser.parse_args()
    report, names = Report("monitoring"), known()
    check_rules(report, names)
    board = check_board(report, names)
    check_page(report)
    if options.promtool:
        run_promtool(report, options.promtool, board)
    print(report.summary())
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
