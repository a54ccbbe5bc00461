"""The main job: every property against a real server, with progress, a verdict and a results folder.

    nox -s verify -- [--profile dev|gate|nightly] [--pg-config PATH] [--implementation shared|stock|FILE.toml] [-x]
                     [--sanitize | --gcov]
                     [--workers N | --scheduler ADDRESS] [--seed N] [--part K] [--examples ADDRESS]

Exit status: 0 all properties hold (skipped ones are listed with their reasons); 1 some do not, or nothing was checked;
2 the bench could not be set up, and one sentence says why; 130 interrupted. What is in the results folder is described
in ``properties.recording.results``.
"""

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from harness.building.build import read_sources
from harness.building.counters import traces as counted
from harness.machine.postgres import SetupError
from harness.machine.project import EXTENSION, ROOT
from harness.running.commandline import (
    INTERRUPTED,
    add_common_options,
    begin,
    common_options,
    exit_status,
    last_line,
    run_pytest,
)
from harness.running.reporting import report
from harness.running.results import circumstances, remove_folder
from harness.running.terminal import clock, nearer, own_console
from harness.schema.campaign import Shard, Verdict
from properties.campaign.gap import Before, close_gap
from properties.recording.progress import show_end, showing_progress
from properties.recording.results import results_of, write_results
from properties.recording.unreached import read_reasons
from properties.recording.verdict import Recorder
from properties.support.examples import check_examples
from properties.support.profiles import PARTS, PROFILES
from properties.support.servers import server_settings

PROPERTIES = Path(__file__).parents[1]

HOLDS, FAILS = 0, 1
MOST_WORKERS = 8
"""Unless it is told to take more: each has servers of its own."""


def main(arguments: Sequence[str] | None = None, tests: Path = PROPERTIES) -> int:
    """Runs the properties in the folder ``tests``; returns the exit status."""
    chosen = parser().parse_args(arguments)
    return exit_status(lambda: verify(chosen, tests))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="nox -s verify --", description="Checks an implementation of shared backups against the model."
    )
    result.add_argument(
        "--profile", choices=PROFILES, default="gate", help="how long to look: seconds, minutes (default) or hours"
    )
    add_common_options(result, "properties")
    special = result.add_mutually_exclusive_group()
    special.add_argument(
        "--sanitize",
        action="store_true",
        help="build the extension with sanitizers of undefined behaviour and addresses",
    )
    special.add_argument(
        "--gcov",
        action="store_true",
        help="count which lines and branches of the extension are reached, and want a reason for each that is not",
    )
    cores = len(os.sched_getaffinity(0))
    default = min(cores + 1 if cores > 1 else 1, MOST_WORKERS)  # each waits a fifth of its time
    result.add_argument(
        "--workers",
        metavar="N",
        type=positive,
        default=default,
        help=f"processes that run properties at once (default here: {default})",
    )
    result.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run them on the workers of that Dask scheduler (tcp://host:port), with this project in their folder",
    )
    add_drawing_options(result)
    result.add_argument(
        "--silence",
        metavar="SECONDS",
        type=float,
        help="what gives no sign of life for so long hangs: a property, a process, or the campaign (default: minutes)",
    )
    result.add_argument("--bench-too", action="store_true", help="also the tests of the bench itself")
    result.add_argument(
        "-x", "--exitfirst", action="store_true", help="stop at the first failure: what comes after it is not run"
    )
    return result


def add_drawing_options(result: argparse.ArgumentParser) -> None:
    """How the examples are drawn of a profile in which they are not always the same."""
    drawn = result.add_argument_group("with --profile nightly")
    drawn.add_argument("--seed", metavar="N", type=number, help="draw the examples of a campaign that told this seed")
    drawn.add_argument("--part", metavar="K", type=positive, help="draw only this part of each property's examples")
    drawn.add_argument(
        "--examples",
        metavar="ADDRESS",
        help="also keep those that fail in this Redis (redis://host:port), and try those that it has first",
    )


def number(word: str) -> int:
    """A seed."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is no seed: say a whole number")
    return int(word)


def positive(word: str) -> int:
    """A number of things of which there is at least one."""
    if not word.isdecimal() or not int(word):
        raise argparse.ArgumentTypeError(f"{word!r} is no number of things: say 1 or more")
    return int(word)


def verify(chosen: argparse.Namespace, tests: Path) -> int:
    """The campaign; raises SetupError if it cannot be set up."""
    check_drawing(chosen)
    run, recorder = begin(chosen), Recorder(bench_too=chosen.bench_too)
    tested = f"{run.tested}, profile {chosen.profile}" + ", sanitized" * chosen.sanitize + ", counted" * chosen.gcov
    before = Before(read_sources(EXTENSION), read_reasons()) if chosen.gcov else None
    with own_console() as console:
        console.print(tested)
        with showing_progress(console, recorder):
            checked = check(recorder, chosen, tests, run.folder)
            c_code = close_gap(recorder, chosen, run, checked.traces, before) if before else ""
        seconds = run.seconds()
        about = circumstances(run, seconds, server_settings(run.implementation))
        results = replace(
            results_of(recorder, chosen.profile, about),
            seed=chosen.seed,
            workers=checked.workers,
            shards=tuple(checked.shards),
        )
        write_results(run.folder, results, recorder.properties)
        if recorder.setup_error:
            raise SetupError(recorder.setup_error)
        facts = {"C code": c_code} if c_code else {}
        if chosen.seed is not None:
            facts["Seed"] = f"{chosen.seed}: --seed draws the same examples again"
        facts |= {"Tested": f"{tested}, in {clock(seconds)} min", "Results": str(nearer(run.folder))}
        if not chosen.no_report:
            facts["Report"] = report(nearer(run.folder))
        show_end(console, recorder, facts, command(chosen), nearer(run.folder))
    verdict, _reason = recorder.verdict()
    return INTERRUPTED if recorder.interrupted else HOLDS if verdict is Verdict.HOLDS else FAILS


def check_drawing(chosen: argparse.Namespace) -> None:
    """Sees to it that there is a seed where examples are drawn afresh; raises SetupError if an option is wrong."""
    parts = PARTS.get(chosen.profile, 1)
    for option in ("seed", "part", "examples"):
        if getattr(chosen, option) is not None and parts == 1:
            raise SetupError(f"--{option} is for --profile nightly: the other profiles' examples are always the same.")
    if chosen.part is not None and (chosen.part > parts or chosen.seed is None):
        raise SetupError(f"--part needs a number from 1 to {parts}, and the --seed that was told with it.")
    if chosen.examples is not None:
        check_examples(chosen.examples)
    if parts > 1 and chosen.seed is None:
        chosen.seed = secrets.randbelow(1 << 32)


class Checked(NamedTuple):
    """What is known, beside the verdicts, when all has been run."""

    traces: list[bytes]
    """What was counted of the extension's lines and branches, as ``harness.building.counters`` has it."""
    workers: int = 1
    shards: Sequence[Shard] = ()


def check(recorder: Recorder, chosen: argparse.Namespace, tests: Path, folder: Path) -> Checked:
    """Runs the properties, here or on workers; raises SetupError if pytest refuses the arguments."""
    place = tests.relative_to(ROOT) if tests.is_relative_to(ROOT) else tests
    common = ["--continue-on-collection-errors", *["--exitfirst"] * chosen.exitfirst, *options(chosen)]
    plugins: list[object] = [recorder]
    distribution = None
    parts = PARTS.get(chosen.profile, 1)
    if chosen.workers > 1 or chosen.scheduler or parts > 1:
        from properties.campaign.distribution import Distribution, Drawing  # they take Dask along, which takes its time
        from properties.campaign.runners import SILENCE, Job

        job = Job(
            (str(place), f"--parts={parts}", *common),
            chosen.selection,
            chosen.bench_too,
            elsewhere=bool(chosen.scheduler),
            silence=chosen.silence or SILENCE,
        )
        drawing = Drawing(chosen.seed, parts, chosen.part)
        distribution = Distribution(recorder, job, chosen.workers, chosen.scheduler, drawing)
        plugins.append(distribution)
    status, words = run_pytest(
        plugins,
        chosen.selection,
        [
            str(tests),
            *common,
            f"--junitxml={folder / 'junit.xml'}",
            "--override-ini=junit_family=xunit1",  # has the properties that tests record
            "--override-ini=junit_suite_name=shared-backup",
        ],
    )
    recorder.interrupted |= status is None
    if status == pytest.ExitCode.USAGE_ERROR:
        remove_folder(folder)
        raise SetupError(last_line(words).removeprefix("ERROR: "))
    return (
        Checked(distribution.traces, distribution.number, distribution.ran) if distribution else Checked([*counted()])
    )


def options(chosen: argparse.Namespace) -> list[str]:
    """The options that both the campaign and the properties know."""
    return [
        f"--profile={chosen.profile}",
        *common_options(chosen),
        *["--sanitize"] * chosen.sanitize,
        *["--gcov"] * chosen.gcov,
        *[f"--silence={chosen.silence}"] * bool(chosen.silence),
        *[f"--examples={chosen.examples}"] * bool(chosen.examples),
    ]


def command(chosen: argparse.Namespace) -> list[str]:
    """The command that runs the same again, to be followed by what to select."""
    given = [
        option for option in options(chosen) if option != f"--implementation={parser().get_default('implementation')}"
    ]
    return ["nox", "-s", "verify", "--", *given, *[f"--seed={chosen.seed}"] * (chosen.seed is not None)]


if __name__ == "__main__":
    sys.exit(main())
