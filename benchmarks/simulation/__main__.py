"""What each design of shared backups costs a fleet, simulated on the rules of the model.

    nox -s simulate -- [--fleet FILE.toml] [--servers N] [--days D] [--designs NAMES] [--sweep ttl=600,3600] [--seed N]

Exit status: 0 all was simulated; 2 a parameter is wrong, or it could not be set up, and one sentence says why; 130
interrupted, and what there was by then is in the results.
"""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.simulation.costs import measured
from benchmarks.simulation.display import showing_progress, table
from benchmarks.simulation.parameters import NAMES, UNITS, WORDS, Parameters, changed, points, read_fleet
from benchmarks.simulation.results import results_of, write_results
from benchmarks.simulation.ways import WAYS, find_ways
from benchmarks.simulation.work import Counted, fleet, simulate_all
from harness.machine.postgres import SetupError
from harness.machine.processes import orderly_end
from harness.running.commandline import INTERRUPTED, exit_status
from harness.running.reporting import report
from harness.running.results import RESULTS, new_folder, remove_folder, run_anywhere
from harness.running.terminal import clock, nearer, own_console

PROGRAM = "nox -s simulate --"
ELSEWHERE = ("--results", "--workers", "--scheduler")
"""Options with a value that the numbers do not depend on."""
LIBRARIES = ("numpy", "distributed")
FINE = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulates; returns the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    chosen = parser().parse_args(given)
    return exit_status(lambda: simulate(chosen, command(given)))


def command(given: Sequence[str]) -> str:
    """What is to be told of the command: what the numbers depend on, not where it ran or where they went."""
    words, kept = iter(given), []
    for word in words:
        name, equals, _ = word.partition("=")
        if name in ELSEWHERE:
            if not equals:
                next(words, None)
        elif name != "--no-report":
            kept.append(word)
    return shlex.join(["nox", "-s", "simulate", *(["--", *kept] if kept else [])])


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog=PROGRAM, description="What each design of shared backups costs a fleet.", allow_abbrev=False
    )
    add = result.add_argument
    add("--fleet", metavar="FILE", type=Path, help="a TOML file of the parameters below; options come after it")
    add("--designs", metavar="NAMES", default=",".join(WAYS), help=f"some of {','.join(WAYS)}, or .toml files")
    add("--sweep", metavar="NAME=V,V", action="append", default=[], help="each of these values; may be repeated")
    add("--bench", metavar="FOLDER", type=Path, help="take the bytes from these results of nox -s bench")
    default = len(os.sched_getaffinity(0))
    add("--workers", metavar="N", default=str(default), help=f"threads at once (default here: {default})")
    add("--scheduler", metavar="ADDRESS", help="use the workers of that Dask scheduler (tcp://host:port)")
    add("--results", metavar="FOLDER", type=Path, default=RESULTS, help="for their folder (default: reports/out)")
    add("--no-report", action="store_true", help="leave out the page: nox -s report makes it of the results later")
    parameters = result.add_argument_group("the fleet")
    for name in NAMES:
        unit, standard = UNITS[name], getattr(Parameters(), name)
        words = f"{WORDS[name]} (default: {standard:,} {unit})" if unit else f"{WORDS[name]} (default: {standard})"
        option = f"--{name.replace('_', '-')}"
        parameters.add_argument(option, dest=f"p_{name}", metavar=unit.upper().replace(" ", "_") or "VALUE", help=words)
    return result


def simulate(chosen: argparse.Namespace, told: str) -> int:
    """The run; raises SetupError if it cannot be set up."""
    p, sources = parameters_of(chosen)
    ways, number = find_ways(chosen.designs), workers_of(chosen.workers)
    fleets = [fleet(swept, point, ways) for swept, point in points(p, sweeps_of(chosen.sweep))]
    counted = [Counted(one) for one in fleets]
    when, began = datetime.now(UTC), time.monotonic()
    folder = new_folder(chosen.results.absolute(), when)
    interrupted = False
    with orderly_end(), own_console() as console:
        console.print(
            f"{p.servers:,} servers for {p.days:g} days, seed {p.seed}: {', '.join(one.name for one in ways)}"
        )
        try:
            with showing_progress(console) as tell:
                for point, tallies in simulate_all(fleets, number, chosen.scheduler, tell):
                    counted[point].add(tallies)
        except KeyboardInterrupt:
            interrupted = True
        except BaseException:
            remove_folder(folder)
            raise
        if not any(one.chunks for one in counted):
            remove_folder(folder)
            return INTERRUPTED
        seconds = time.monotonic() - began
        about = run_anywhere(when, seconds, LIBRARIES)
        results = results_of(counted, p, sources, told, about, interrupted=interrupted)
        write_results(folder, results)
        console.print(table([one for one in results.points if one.bills]))
        show_end(console, counted, folder, f"seed {p.seed}, in {clock(seconds)} min", interrupted=interrupted)
        if not chosen.no_report:
            console.print(f"Report: {report(nearer(folder))}", soft_wrap=True)
    return INTERRUPTED if interrupted else FINE


def show_end(console: Console, counted: list[Counted], folder: Path, how: str, *, interrupted: bool) -> None:
    """How many servers were simulated, and where the results are."""
    if interrupted:
        told = sum(one.fleet.parameters.servers for one in counted)
        done = sum(one.tallies[0].servers for one in counted if one.tallies)
        console.print(f"\nInterrupted, and so partial: {done:,} of {told:,} servers were simulated.")
    console.print(f"\nSimulated with {how}")
    console.print(f"Results: {nearer(folder)}", soft_wrap=True)


def parameters_of(chosen: argparse.Namespace) -> tuple[Parameters, dict[str, str]]:
    """The defaults, then what the benchmarks measured, the file, the options; and where costs come from."""
    options = {name: value for name in NAMES if (value := getattr(chosen, f"p_{name}")) is not None}
    layers: list[tuple[str, dict[str, Any]]] = [
        (str(chosen.bench), measured(chosen.bench) if chosen.bench else {}),
        (str(chosen.fleet), read_fleet(chosen.fleet) if chosen.fleet else {}),
        ("the command line", options),
    ]
    p, sources = Parameters(), dict[str, str]()
    for where, values in layers:
        p = changed(p, values)
        sources |= {name: where for name in values if name.endswith("_bytes")}
    return p, sources


def sweeps_of(words: list[str]) -> dict[str, list[str]]:
    """What is to be swept: ``name=value,value``; raises SetupError."""
    found = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or not all(values.split(",")):
            raise SetupError(f'"{word}" is no sweep: say --sweep ttl=600,3600.')
        found[name.strip().replace("-", "_")] = values.split(",")
    return found


def workers_of(word: str) -> int:
    """How many; raises SetupError."""
    if not word.isdecimal() or not int(word):
        raise SetupError(f'There cannot be "{word}" workers: say 1 or more.')
    return int(word)


if __name__ == "__main__":
    sys.exit(main())
