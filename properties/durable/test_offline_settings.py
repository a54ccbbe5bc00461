"""Settings that a restart changes and that a control file knows: a copy is restored with those of the backup's start.

What comes after the start is in the WAL, changes of these settings, too: recovery has to begin with what was so then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.restore.restore import BackupFiles
from harness.restore.snapshot import Pace
from harness.restore.workload import (
    Step,
    checkpoint,
    finish_prepared,
    open_transactions,
    prepare_transaction,
    transfers,
)
from harness.server.cluster import Cluster
from harness.server.controldata import CHECKSUMS, NONCE, control_data
from harness.server.session import Session
from properties.durable.lockstep import DurableServer, Fall, change, durable_server, what_it_remembers
from properties.recording.tally import Tally
from properties.support.profiles import UNSHRUNK, examples
from properties.support.restoring import check_restore
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

NUMBERS = {
    "max_connections": (20, 70),
    "max_worker_processes": (6, 24),
    "max_wal_senders": (2, 20),
    "max_prepared_transactions": (10, 40),
    "max_locks_per_transaction": (40, 128),
}
"""From a value with which the bench can do its work; none has as many prepared transactions as the least."""
CHOICES = {"wal_level": ("replica", "logical"), "wal_log_hints": ("off", "on"), "track_commit_timestamp": ("off", "on")}
"""The last is the greatest."""
IN_CONTROL_FILE = {"max_prepared_transactions": "max_prepared_xacts", "max_locks_per_transaction": "max_locks_per_xact"}
"""What pg_controldata calls them, if not by their names."""

TRANSACTIONS = 4000
"""More than have their commit timestamps on four pages, which PostgreSQL makes only while it tracks them."""
SUBTRANSACTIONS = 100
"""More than a backend remembers without help."""
RECENT = "SELECT xid::text, pg_xact_commit_timestamp(xid::text::xid) FROM ledger ORDER BY id DESC LIMIT 20"
AGAIN = "SELECT pg_xact_commit_timestamp(%s::xid)"

Values = dict[str, str]


@dataclass(frozen=True)
class Change:
    """A restart with other settings."""

    fall: Fall
    values: Values


@dataclass(frozen=True)
class SettingsPlan:
    """What happens in one example."""

    before: Values
    changes: tuple[Change, ...]
    hot_standby: bool
    """Recovery lets sessions in, and looks at its settings."""
    seed: int

    @property
    def greatest(self) -> Values:
        """The settings of a server on which every part of the WAL can be replayed, and be read."""
        every = (self.before, *(change.values for change in self.changes))
        numbers = {name: str(max(int(values[name]) for values in every)) for name in NUMBERS}
        return numbers | {name: max((values[name] for values in every), key=CHOICES[name].index) for name in CHOICES}


def any_values() -> st.SearchStrategy[Values]:
    """Values of all of them; the ends are as likely as what lies between."""
    numbers = {name: st.sampled_from([low, high]) | st.integers(low, high) for name, (low, high) in NUMBERS.items()}
    texts: dict[str, st.SearchStrategy[str]] = {name: number.map(str) for name, number in numbers.items()}
    return st.fixed_dictionaries(texts | {name: st.sampled_from(values) for name, values in CHOICES.items()})


@st.composite
def plans(draw: st.DrawFn) -> SettingsPlan:
    """One to three restarts, each with values of its own."""
    falls = st.sampled_from([Fall.FAST, Fall.IMMEDIATE, Fall.POSTMASTER])
    return SettingsPlan(
        draw(any_values()),
        tuple(draw(st.lists(st.builds(Change, falls, any_values()), min_size=1, max_size=3))),
        hot_standby=draw(st.sampled_from([False, False, True])),
        seed=draw(st.integers(0, 999)),
    )


# What the server does


def many_transactions(session: Session, chance: Random) -> None:
    """So many that their commit timestamps, and what became of them, fill pages."""
    session.execute(
        f"DO $$ BEGIN FOR i IN 1..{TRANSACTIONS} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    )
    transfers(session, chance)


def many_subtransactions(session: Session, chance: Random) -> None:
    """One row of the ledger each, in a transaction that commits."""
    session.execute(
        f"DO $$ BEGIN FOR i IN 1..{SUBTRANSACTIONS} LOOP BEGIN"
        " INSERT INTO ledger (entry) VALUES ('subtransaction ' || i);"
        " EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"
    )


LOAD: tuple[Step, ...] = (many_transactions, many_subtransactions, prepare_transaction, checkpoint, finish_prepared)


def settling(server: Cluster, values: Values) -> Callable[[], None]:
    """These are the settings of the next start."""
    return lambda: server.configure(values)


def take(here: DurableServer, plan: SettingsPlan) -> Iterator[Callable[[], object]]:
    """The restarts, and the load between them."""
    backups, chance = here.backups, Random(plan.seed)
    yield from backups.does(*LOAD, change(0), chance=chance)
    for number, one in enumerate(plan.changes, 1):
        yield partial(backups.fall, one.fall, while_down=settling(here.origin, one.values))
        yield from backups.does(*LOAD, change(number), chance=chance)


# What is to be seen


def check_control_file(here: DurableServer, files: BackupFiles, began: Values) -> None:
    """It is that of the start, but for where recovery may end; and it does not hand out the server's secret."""
    assert files.controlfile is not None
    handed_out, server = control_data(here.origin, files.controlfile), control_data(here.origin)
    for name, value in began.items():
        assert handed_out[f"{IN_CONTROL_FILE.get(name, name)} setting"] == value, f"{name} is not that of the start"
    assert handed_out[CHECKSUMS] == server[CHECKSUMS]
    assert handed_out["Minimum recovery ending location"] == files.stop_lsn
    assert handed_out["Min recovery ending loc's timeline"] == "1"
    assert handed_out["Database cluster state"] == "in archive recovery"
    assert len(handed_out[NONCE]) == len(server[NONCE]), "there is no nonce"
    assert handed_out[NONCE] != server[NONCE], "the nonce of the server is in the copy's control file"


def looking(prepared: frozenset[str], recent: list[tuple[str, object]]) -> Callable[[Cluster], Iterator[str]]:
    """Flaws of a restored server, beside those that any might have."""

    def look(copy: Cluster) -> Iterator[str]:
        session = copy.connect()
        for xid, timestamp in recent:
            if (found := session.execute(AGAIN, (xid,))[0][0]) != timestamp:
                yield f"transaction {xid} was committed at {timestamp}, and is said to have been at {found}"
                break
        session.close()
        yield from what_it_remembers(copy, "a", prepared)

    return look


def recent_commits(here: DurableServer, values: Values) -> list[tuple[str, object]]:
    """The last transactions and when they were committed, if the server knows."""
    if values["track_commit_timestamp"] == "off":
        return []
    transfers(here.session, Random(0))
    return [(row[0], row[1]) for row in here.session.execute(RECENT)]


def carry_out(here: DurableServer, plan: SettingsPlan, tally: Tally) -> None:
    """Takes the backup that is planned, and restores it."""
    backups = here.backups
    backups.start("a")
    snapshot = copy_while(here.origin, here.copies / "copy", [*take(here, plan)], Pace(plan.seed, rounds=1))
    recent = recent_commits(here, plan.changes[-1].values)
    prepared = open_transactions(here.session)
    stopped = backups.stop("a")
    assert backups.stop("a").files == stopped.files, "asked again, stop says something else"
    backups.archive()
    on_the_copy = plan.greatest | {"hot_standby": "on" if plan.hot_standby else "off"}
    taken, survival_case = (here.origin, snapshot, stopped.files), backups.survival_cases["a"]
    scenario, look = "durable, with other settings after the restart", looking(prepared, recent)
    for to_the_end in (False, True):
        check_restore(
            tally,
            scenario + (", to the end" if to_the_end else ""),
            *taken,
            restorable=stopped.restorable,
            to_the_end=to_the_end,
            settings=on_the_copy,
            look=look,
            survival_case=survival_case,
        )
    check_control_file(here, stopped.files, plan.before)


LEAST = {name: str(low) for name, (low, _) in NUMBERS.items()} | {name: values[0] for name, values in CHOICES.items()}
GREATEST = {name: str(high) for name, (_, high) in NUMBERS.items()} | {n: values[-1] for n, values in CHOICES.items()}


@pytest.mark.parametrize("fall", [Fall.FAST, Fall.POSTMASTER])
def test_commit_timestamps_that_a_restart_turns_on_are_not_looked_for_before_it(
    instrumented: Build, tally: Tally, fall: Fall
) -> None:
    on = LEAST | {"track_commit_timestamp": "on"}
    with durable_server(instrumented, tally, LEAST) as here:
        carry_out(here, SettingsPlan(LEAST, (Change(fall, on),), hot_standby=False, seed=1), tally)


@pytest.mark.parametrize("hot_standby", [False, True], ids=["hot standby off", "hot standby on"])
@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_all_settings_of_the_control_file_may_change_at_once(
    instrumented: Build, tally: Tally, up: bool, hot_standby: bool
) -> None:
    before, after = (LEAST, GREATEST) if up else (GREATEST, LEAST)
    with durable_server(instrumented, tally, before) as here:
        carry_out(here, SettingsPlan(before, (Change(Fall.FAST, after),), hot_standby, seed=2), tally)


def test_a_backup_is_restored_whatever_settings_its_restarts_changed(instrumented: Build, tally: Tally) -> None:

    # what takes many seconds each is not made smaller: it is small
    @settings(max_examples=examples(1 / 60, at_least=2, at_most=60), phases=UNSHRUNK)
    @given(plans())
    def take_and_restore(plan: SettingsPlan) -> None:
        note(f"{plan}")
        with durable_server(instrumented, tally, plan.before) as here:
            carry_out(here, plan, tally)

    take_and_restore()
