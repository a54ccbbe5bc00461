"""A yardstick for the exploration: the same small machine explored by the model and by Spin, one core each.

    python -m benchmarks.spin [--compiled] [--sessions 2|3] [--labels 2|3]

Spin (``apt-get install spin``) makes a C program of ``thread.pml``. Both must find the same situations and the same
transitions; the promises are not checked, as Spin checks none here. Exit status: 0 they do, or there is no Spin; 1 they
do not; 2 what is needed is missing, and one sentence says what.
"""

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.machine.postgres import SetupError
from harness.machine.project import ROOT
from harness.running.commandline import exit_status
from properties.exploration.compiled import compiled_model

MACHINE = Path(__file__).with_name("thread.pml")
EXPLORER = """
import gc, sys
sys.path[:0] = [sys.argv[1]]
from model.design import THREAD
from model.explore import explore
from model.scope import DAVE, Scope
gc.disable()
labels = ("a", "b", "c")[: int(sys.argv[3])]
scope = Scope(THREAD, roles=(DAVE,), sessions=int(sys.argv[2]), labels=labels, ttls=(None,), phases=True)
found = explore(scope, promises=())
print(found.states, found.transitions, found.seconds)
"""


class Measured(NamedTuple):
    """What an explorer found, in which time."""

    states: int
    transitions: int
    seconds: float
    """Of the processor."""

    def line(self, name: str) -> str:
        """For a person."""
        rate = self.transitions / max(self.seconds, 0.001)
        return f"{name:16} {self.states:>11,} {self.transitions:>13,} {self.seconds:>9.2f} {rate:>15,.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spin", description="The exploration beside Spin.")
    parser.add_argument("--sessions", type=int, choices=(2, 3), default=3)
    parser.add_argument("--labels", type=int, choices=(2, 3), default=3)
    parser.add_argument("--compiled", action="store_true", help="measure the compiled model as well")
    chosen = parser.parse_args(arguments)
    return exit_status(lambda: compare(chosen))


def compare(chosen: argparse.Namespace) -> int:
    """Measures both, and says whether they agree; raises SetupError."""
    if shutil.which("spin") is None:
        print("There is no Spin to compare with: apt-get install spin.")
        return 0
    found = {"Spin": by_spin(chosen.sessions, chosen.labels)}
    found["the model"] = by_model(ROOT, chosen.sessions, chosen.labels)
    if chosen.compiled:
        found["compiled"] = by_model(compiled_model(), chosen.sessions, chosen.labels)
    print(f"{'':16} {'situations':>11} {'transitions':>13} {'seconds':>9} {'transitions/s':>15}")
    for name, measured in found.items():
        print(measured.line(name))
    agree = len({measured[:2] for measured in found.values()}) == 1
    print("They agree." if agree else "They do not agree: one of the machines is not the other.")
    return 0 if agree else 1


def by_spin(sessions: int, labels: int) -> Measured:
    """What Spin finds; raises SetupError."""
    with tempfile.TemporaryDirectory() as folder:
        run(folder, "spin", f"-DS={sessions}", f"-DL={labels}", "-a", str(MACHINE))
        run(folder, "gcc", "-O2", "-w", "-DSAFETY", "-DNOREDUCE", "-DMEMLIM=4096", "-o", "pan", "pan.c")
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        said = run(folder, "./pan", "-E", "-n", "-w22", "-m10000000")
        seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    if "max search depth too small" in said or "error" in said.replace("errors: 0", ""):
        raise SetupError(f"Spin has not come to its end: {said.splitlines()[0]}")
    # Spin counts it as a transition that it comes to the first state
    return Measured(number(r"(\d+) states, stored", said), number(r"(\d+) transitions", said) - 1, seconds)


def number(pattern: str, text: str) -> int:
    """The number in what Spin says; raises SetupError."""
    found = re.search(pattern, text)
    if found is None:
        raise SetupError("Spin says nothing of what it has found: this version is not known.")
    return int(found.group(1))


def by_model(folder: Path, sessions: int, labels: int) -> Measured:
    """What the model in that folder finds."""
    said = run(str(ROOT), sys.executable, "-P", "-c", EXPLORER, str(folder), str(sessions), str(labels))
    states, transitions, seconds = said.split()
    return Measured(int(states), int(transitions), float(seconds))


def run(folder: str, *command: str) -> str:
    """Runs a program in the folder; returns what it says. Raises SetupError if it fails."""
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise SetupError(f"There is no {command[0]}: install it.") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        raise SetupError(f"{command[0]} fails: {said[-1] if said else error.returncode}.") from None


if __name__ == "__main__":
    sys.exit(main())
