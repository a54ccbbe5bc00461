"""The folder of examples: its table, its shell."""

import re
import shutil
import subprocess

import pytest

from properties.support.hooks import EXAMPLES

SCRIPTS = sorted(file.name for file in EXAMPLES.glob("*.sh"))
TABLE = (EXAMPLES / "README.md").read_text(encoding="utf-8").partition("\n\n[How to restore]")[0]


def test_the_table_has_every_file() -> None:
    there = {file.name for file in EXAMPLES.iterdir()} - {"README.md"}
    assert set(re.findall(r"\]\(([\w.-]+)\)", TABLE)) == there


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_for_any_posix_shell(script: str) -> None:
    """It can be run as it is, and says so; and shellcheck finds nothing."""
    file = EXAMPLES / script
    assert file.stat().st_mode & 0o111
    assert file.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
    shellcheck = shutil.which("shellcheck") or pytest.skip("shellcheck is not installed")
    done = subprocess.run([shellcheck, "--shell", "sh", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
