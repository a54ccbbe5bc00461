"""The extension under UndefinedBehaviorSanitizer and AddressSanitizer, in a server that is as it was.

The compiler puts their checks into the extension alone. UndefinedBehaviorSanitizer's library comes with it;
AddressSanitizer's must be the first that the server's program loads, which only its environment can bring about. Both
end the process at the first finding. PostgreSQL's flag -fwrapv, which makes the overflow of a signed number no error,
is taken back: the extension means none.
"""

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

from harness.building.compiler import Tools
from harness.machine.postgres import Postgres, SetupError

FLAGS = "-fsanitize=undefined,address -fno-sanitize-recover=all -fno-omit-frame-pointer -fno-wrapv"
PATIENCE = 30.0
"""Seconds in which a server's program says its version: some libraries and libasan wait for each other for ever."""


def sanitized(tools: Tools) -> Tools:
    """The tools with flags for the sanitizers."""
    return replace(tools, flags=f"{tools.flags} {FLAGS}")


def server_environment(tools: Tools, postgres: Postgres) -> dict[str, str]:
    """What the environment of a server must hold to load what they have built.

    Raises SetupError if they cannot, or if the server's program does not run in it.
    """
    environment = {
        "LD_PRELOAD": str(_library(tools.compiler)),
        "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=0",  # a process of PostgreSQL leaves its memory to the system
        "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
    }
    program, around = postgres.binary("postgres"), postgres.environment() | environment
    try:
        subprocess.run([program, "--version"], env=around, check=True, capture_output=True, timeout=PATIENCE)
    except (subprocess.SubprocessError, OSError) as error:
        raise SetupError(
            f"{program} does not run with libasan loaded before it ({type(error).__name__}): "
            "use another PostgreSQL for --sanitize, such as the bundled one."
        ) from None
    return environment


def _library(compiler: str) -> Path:
    ask = [*shlex.split(compiler), "-print-file-name=libasan.so"]
    answer = subprocess.run(ask, capture_output=True, text=True).stdout.strip()
    if not Path(answer).is_absolute():  # gcc gives back the bare name of what it does not find
        raise SetupError(
            f"The compiler {compiler} has no libasan.so: use gcc with its sanitizers (Red Hat: libasan and libubsan)."
        )
    return Path(answer).resolve()
