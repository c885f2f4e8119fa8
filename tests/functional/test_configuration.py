"""The page of settings says what the services say."""

import os
import pathlib
import subprocess

REPO = pathlib.Path(__file__).resolve().parents[2]


def test_the_page_is_up_to_date():
    """And has each setting of the table: a help that cannot be read is left out of both."""
    check = subprocess.run([REPO / "docs/generate-configuration", "--check"], text=True, capture_output=True)
    assert check.returncode == 0, check.stderr
    page = (REPO / "docs/configuration.md").read_text()
    binaries = REPO / "build" / os.environ.get("DISPATCH_PRESET", "release") / "bin"
    for service in ("api-gateway", "event-manager", "function-manager", "identity"):
        said = subprocess.run([binaries / service, "--help"], text=True, capture_output=True, check=True).stdout
        flags = {line.split()[0][2:] for line in said.splitlines() if line.startswith("  --")}
        assert {flag for flag in flags - {"help", "version"} if f"| `{flag}` |" not in page} == set()
