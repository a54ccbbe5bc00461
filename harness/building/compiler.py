"""What turns the extension's sources into a library: make, a C compiler, and flags that it understands."""

import functools
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass

from harness.machine.postgres import Postgres, SetupError


@dataclass(frozen=True)
class Tools:
    """Commands and flags, each as a shell reads it."""

    make: str
    compiler: str
    flags: str


def find_tools(postgres: Postgres) -> Tools:
    """What an extension of that PostgreSQL is built with; raises SetupError without make or a C compiler."""
    compiler = find_compiler(postgres)
    return Tools(find_make(), compiler, compiler_flags(compiler, postgres.cflags))


def find_make() -> str:
    """The path of GNU make; raises SetupError without one."""
    found = shutil.which("gmake") or shutil.which("make")
    if found is None:
        raise SetupError("There is no make to build the extension with: install it (Debian and Ubuntu: make).")
    return found


def find_compiler(postgres: Postgres | None = None) -> str:
    """The C compiler's command: the variable CC, else PostgreSQL's own, else any; raises SetupError without one."""
    for command in (os.environ.get("CC", ""), postgres.cc if postgres else "", "gcc", "cc", "clang"):
        words = shlex.split(command)
        if words and shutil.which(words[0]) is not None:
            return command
    raise SetupError("There is no C compiler to build the extension with: install one (Debian and Ubuntu: gcc).")


def make_environment() -> dict[str, str]:
    """Our environment without what make tells its children: we may be one, and the make that we start is not."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}


@functools.cache
def compiler_flags(compiler: str, recorded: str) -> str:
    """The flags that PostgreSQL was compiled with, without those that this compiler does not know, and with -fPIC."""
    flags = shlex.split(recorded)
    if not _accepts(compiler, flags):
        flags = [flag for flag in flags if _accepts(compiler, ["-Wall", flag])]
    return shlex.join([*flags, "-fPIC"])


def _accepts(compiler: str, flags: list[str]) -> bool:
    check = [*shlex.split(compiler), "-Werror", *flags, "-fsyntax-only", "-x", "c", os.devnull]
    return subprocess.run(check, capture_output=True).returncode == 0
