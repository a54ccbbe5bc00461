"""``nox -s verify`` with several ``--pg-config``: the campaign on each PostgreSQL, and then all of them side by side.

They run one after the other, for each takes all workers, and each leaves a results folder of its own. Then comes a
folder with ``versions.json`` (``harness.schema.versions``), to which ``latest`` leads. With one PostgreSQL, or none
named, there is just the campaign.
"""

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from harness.building.counters import forget
from harness.machine.postgres import Postgres, SetupError, find_postgres
from harness.running.commandline import INTERRUPTED, NO_SETUP, begin, exit_status
from harness.running.reporting import report
from harness.running.results import Run, new_folder, write_json, writing
from harness.running.terminal import nearer, own_console
from harness.schema.campaign import Campaign
from properties.campaign.showing import show
from properties.campaign.side_by_side import Ended, side_by_side

CAMPAIGN, VERSIONS = "results.json", "versions.json"
WORST_FIRST = (INTERRUPTED, 1, NO_SETUP, 0)
"""Exit statuses."""


def on_each(chosen: argparse.Namespace, campaign: Callable[[Run, argparse.Namespace], int]) -> int:
    """Runs the campaign on each PostgreSQL that is named; returns its exit status, of several the worst.

    Raises SetupError before anything runs if one of them cannot be used, or is named twice. If a campaign cannot be set
    up later on, that is told, and the next one runs.
    """
    each = [argparse.Namespace(**{**vars(chosen), "pg_config": one}) for one in chosen.pg_config or [None]]
    if len(each) == 1:
        return campaign(begin(each[0]), each[0])
    named, when = look_at(chosen.pg_config), datetime.now(UTC)
    ended: list[Ended] = []
    statuses: list[int] = []
    for one in each:
        forget()
        run = begin(one)
        statuses.append(exit_status(partial(campaign, run, one)))
        file = run.folder / CAMPAIGN
        if not file.is_file():  # what is wrong with the arguments is wrong for all
            break
        ended.append(Ended(run.folder.name, msgspec.json.decode(file.read_bytes(), type=Campaign)))
        if statuses[-1] == INTERRUPTED or (statuses[-1] and chosen.exitfirst):
            break
    if ended:
        tell(chosen, when, named, ended, INTERRUPTED in statuses)
    return next(status for status in WORST_FIRST if status in statuses)


def look_at(pg_configs: Sequence[str]) -> list[Postgres]:
    """What they lead to; raises SetupError with a sentence for each that cannot be used, or is named twice."""
    found: dict[tuple[str, Path], Postgres] = {}
    complaints = []
    for name in pg_configs:
        try:
            one = find_postgres(name)
        except SetupError as error:
            complaints.append(str(error))
            continue
        first = found.setdefault((one.version_string, one.bindir.resolve()), one)
        if first is not one:
            complaints.append(
                f"{first.pg_config} and {one.pg_config} lead to the same PostgreSQL {one.version_string}: "
                "name it once with --pg-config."
            )
    if complaints:
        raise SetupError("\n".join(complaints))
    return list(found.values())


def tell(
    chosen: argparse.Namespace, when: datetime, named: Sequence[Postgres], ended: Sequence[Ended], interrupted: bool
) -> None:
    """Writes and shows what came of the campaigns; raises SetupError."""
    folder = new_folder(chosen.results.absolute(), when)
    results = side_by_side(when, named, ended, interrupted)
    with writing(folder):
        write_json(folder / VERSIONS, results)
    facts = {"Results": str(nearer(folder))}
    if not chosen.no_report:
        facts["Report"] = report(nearer(folder))
    with own_console() as console:
        show(console, results, facts)
