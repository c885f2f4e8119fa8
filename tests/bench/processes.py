"""What processes of this machine take."""

import os
import pathlib

TICKS = os.sysconf("SC_CLK_TCK")


def children(pid):
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found.append(int(child))
    return found


def compiler_cpu(pid):
    """Seconds that the JVM's second compiler took so far."""
    names = ((task, (task / "comm").read_text()) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())
    return sum(cpu_of(f"{pid}/task/{task.name}") for task, name in names if name.startswith("C2"))


def cpu_of(pid):
    """Seconds of CPU of a process, or of a thread (`pid/task/tid`), so far."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    except OSError:
        return 0.0


def memory_of(pid):
    values = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if rest.endswith("kB"):
            values[name] = int(rest.split()[0]) / 1024
    return {"pss": values["Pss"], "uss": values["Private_Clean"] + values["Private_Dirty"],
            "rss": values["Rss"]}
