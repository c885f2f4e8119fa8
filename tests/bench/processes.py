"""What tests/bench/run starts, and what it reads of processes."""

import json
import os
import pathlib
import signal
import subprocess

REPO = pathlib.Path(__file__).resolve().parents[2]
PRESET = os.environ.get("DISPATCH_PRESET", "release")
LOAD = REPO / "build" / PRESET / "bin" / "dispatch-load"
FILTER_BENCH = LOAD.with_name("dispatch-filter-bench")
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


def load(*arguments, **settings):
    command = [LOAD, *arguments]
    for name, value in settings.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def figures(process):
    """What it prints at its end, and `cpu_s`, the seconds of CPU that it took."""
    line = process.stdout.readline()
    if not line:
        raise SystemExit("the load program ended without figures")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return dict(json.loads(line), cpu_s=usage.ru_utime + usage.ru_stime)


class Sink:
    def __init__(self, **settings):
        self.process = load("sink", **settings)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        return figures(self.process)

    def figures(self):
        return figures(self.process)

    def has_ended(self):
        """It is left for `figures` to be waited for."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, how) is not None
