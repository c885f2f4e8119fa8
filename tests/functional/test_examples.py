"""docs/functions.md and the READMEs of the examples, block by block as somebody would type them.

```sh is run, in one shell for each page; ```text behind it is what it printed (both streams), where `...` stands for
any text."""

import os
import re
import shutil
import subprocess
import threading

import pytest
from lib.stack import ROOT
from test_cli import BINARY

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"{BINARY} is not built")

BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "--- the block ended ---"
PAGES = {
    "docs/functions.md": "examples/python3",
    "examples/python3/README.md": "examples/python3",
    "examples/nodejs/README.md": "examples/nodejs",
    "examples/binary/README.md": "examples/binary",
    "examples/java/README.md": "examples/java",
    "examples/powershell/README.md": "examples/powershell",
}
NEEDED = {"java": ("java", "javac"), "powershell": ("pwsh",)}


class Shell:
    """One shell that is given blocks and says what they printed."""

    def __init__(self, directory, environment):
        self.process = subprocess.Popen(
            ["bash"], cwd=directory, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, block: str) -> str:
        # Its own standard input is this script: commands must not read it.
        self.process.stdin.write(f"{{ {block}\n}} < /dev/null\necho; echo '{END}'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.rstrip("\n") == END:
                return "".join(lines)[:-1]  # without the line end that is ours
            lines.append(line)
        raise AssertionError("the shell ended: " + "".join(lines))


def matches(expected: str, printed: str) -> bool:
    pattern = re.escape(expected.rstrip("\n")).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, printed.rstrip("\n")) is not None


def test_a_difference_is_seen():
    assert matches("a ... c\nd\n", "a b c\nd") and matches("x\n", "x\n")
    for printed in ("a b\nd", "a b c", "a b c\nd\ne", "a\nc\nd"):
        assert not matches("a ... c\nd\n", printed)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_is_what_it_prints(page, stack, fresh_org, tmp_path):
    needed = NEEDED.get(PAGES[page].removeprefix("examples/"), ())
    if absent := [tool for tool in needed if shutil.which(tool) is None]:
        pytest.skip(f"SKIPPED: {page} is not tried: {', '.join(absent)} is not on this machine")
    work = tmp_path / "work"
    shutil.copytree(ROOT / PAGES[page], work)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DISPATCH_")}
    environment = {
        **clean,
        "HOME": str(tmp_path),
        "PATH": f"{BINARY.parent}:{clean['PATH']}",
        "DISPATCH_API_URL": stack.api_url,
        "DISPATCH_ENDPOINTS_URL": stack.env["DISPATCH_ENDPOINTS_URL"],
        "DISPATCH_TOKEN": fresh_org.key,
    }
    shell = Shell(work, environment)
    # A loop of a page that never ends is an answer too.
    watch = threading.Timer(150, shell.process.kill)
    watch.start()
    try:
        printed, count = None, 0
        for kind, text in BLOCK.findall((ROOT / page).read_text()):
            if kind == "sh":
                printed = shell.run(text)
                count += 1
            else:
                assert matches(text, printed), f"{page} shows\n{text}\nbut it printed\n{printed}"
        assert count > 0
    finally:
        watch.cancel()
        shell.process.kill()
        shell.process.wait()
