"""A counterexample, tried again: does the promise hold now?

    nox -s replay -- FILE [--pg-config PATH] [--implementation shared|durable|stock|FILE.toml]

FILE is one of ``failures/*.json`` in a results folder. What is expected is what today's model says, by the design of
the implementation. Exit status: 0 mended, every step came as expected; 1 a step still fails; 2 it cannot be tried, and
one sentence says why; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.building.build import Flavour, build
from harness.clients.implementation import Implementation
from harness.machine.postgres import Postgres, SetupError, find_postgres, server_user
from harness.machine.project import EXTENSION, cache_folder
from harness.running.commandline import exit_status
from harness.running.terminal import own_console
from harness.schema.counterexample import Counterexample
from harness.server.alarms import raised
from harness.server.cluster import ClusterError
from harness.server.session import SqlError
from properties.concurrency.phase_by_phase import Case
from properties.replay.reading import check_capabilities, implementation_for, read
from properties.replay.trying import Again, case_of, try_again
from properties.support.servers import installed_server

MENDED, FAILS = 0, 1


def main(arguments: Sequence[str] | None = None, sources: Path = EXTENSION) -> int:
    """The program, with the extension's sources in that folder; returns the exit status."""
    chosen = parser().parse_args(arguments)
    return exit_status(lambda: replay(chosen, sources))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="nox -s replay --", description="Tries a counterexample again.")
    result.add_argument("file", metavar="FILE", type=Path, help="failures/*.json in a results folder")
    result.add_argument(
        "--pg-config", metavar="PATH", help="the PostgreSQL to run (default: $PG_CONFIG, else the bundled one)"
    )
    result.add_argument(
        "--implementation",
        metavar="NAME",
        help="shared, shared_fixed, thread, durable, stock, or a TOML file (default: the one that it was found with)",
    )
    return result


def replay(chosen: argparse.Namespace, sources: Path) -> int:
    """Tries it, and tells; raises SetupError if it cannot be tried."""
    one = read(chosen.file)
    implementation = implementation_for(one, chosen.implementation)
    check_capabilities(one, implementation)
    case = case_of(one, implementation)
    postgres = find_postgres(chosen.pg_config)
    server_user()
    with own_console() as console:
        console.print(Text(one.promise or f"{chosen.file}", style="bold"))
        console.print(f"found with {one.implementation.name} on PostgreSQL {one.server.version}")
        console.print(f"tried with {implementation.name} on PostgreSQL {postgres.version_string}\n")
        again = on_a_server(one, case, implementation, postgres, sources)
        show(console, one, again)
    return MENDED if again.failed is None else FAILS


def on_a_server(
    one: Counterexample, case: Case | None, implementation: Implementation, postgres: Postgres, sources: Path
) -> Again:
    """Tries it on a server that is gone afterwards; a crash of the server is a failure, whatever came."""
    flavour = Flavour.INSTRUMENTED if implementation.prepare_instruments else Flavour(one.flavour)
    built = build(postgres, flavour, cache_folder(), sources=sources)
    try:
        with installed_server(built, implementation, one.server.settings) as cluster:
            again = try_again(one, case, cluster, implementation)
    except (SqlError, ClusterError) as error:
        reason = f"{error}".splitlines()[0].rstrip(":.")
        raise SetupError(
            f"The server of {implementation.name} cannot be set up ({reason}): name another --implementation."
        ) from error
    if (alarms := raised()) and again.failed is None:
        return Again(again.steps, len(again.steps), "a server crashed:\n" + "\n".join(alarms))
    return again


# What is shown


def show(console: Console, one: Counterexample, again: Again) -> None:
    """The steps, what has changed in what is expected, and the verdict."""
    console.print(table(one, again))
    for change in changes(one, again):
        console.print(f"\n{change}")
    if again.failed is None:
        console.print(Text("\nmended: every step came as expected", style="bold green"))
        return
    before = f" (it was found at step {one.failed})" if again.failed != one.failed else ""
    console.print(Text(f"\n{again.found}"), soft_wrap=True)
    console.print(Text(f"\nstill fails at step {again.failed}{before}", style="bold red"))


def table(one: Counterexample, again: Again) -> Table:
    """A row for each step."""
    result = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading in ("step", "who", "operation", "expected", "came"):
        result.add_column(heading, overflow="fold")
    for number, step in enumerate(again.steps, start=1):
        arguments = ", ".join(f"{name}={value!r}" for name, value in step.arguments.items() if name != "session")
        phase = f", phase {step.phase}" if step.phase else ""
        result.add_row(
            f"{number}",
            step.who,
            f"{step.operation}({arguments}){phase}",
            step.expected,
            step.came or "not tried",
            style="red" if number == again.failed else None,
        )
    return result


def changes(one: Counterexample, again: Again) -> Iterator[str]:
    """Where something else is expected than when it was found."""
    for number, (then, now) in enumerate(zip(one.steps, again.steps, strict=False), start=1):
        if then.expected != now.expected and now.came:
            yield f"Step {number}: expected is {now.expected}; when this was found it was {then.expected}."


if __name__ == "__main__":
    sys.exit(main())
