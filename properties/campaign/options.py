"""The command line of ``nox -s verify``: its options, and the command that runs the same again."""

import argparse
import os
import secrets

from harness.machine.postgres import SetupError
from harness.running.commandline import add_common_options, common_options
from properties.support.examples import check_examples
from properties.support.profiles import PARTS, PROFILES

MOST_WORKERS = 8
"""Unless it is told to take more: each has servers of its own."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="nox -s verify --", description="Checks an implementation of shared backups against the model."
    )
    result.add_argument(
        "--profile", choices=PROFILES, default="gate", help="how long to look: seconds, minutes (default) or hours"
    )
    add_common_options(result, "properties", several=True)
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
