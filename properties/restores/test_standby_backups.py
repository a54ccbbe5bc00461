"""A backup of a streaming standby is as good as one of its primary: it is restored from the primary's archive.

And what core refuses there, because the standby was promoted or the WAL lacks full pages, leaves no trace.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.clients.implementation import UNFENCED, Implementation
from harness.clients.labelfile import parse_label_file
from harness.machine.scratch import temporary_folder
from harness.restore.snapshot import Pace
from harness.restore.workload import (
    STEPS,
    Step,
    archive_all,
    big_update,
    checkpoint,
    create_database,
    drop_database,
    pgbench,
    transfers,
)
from harness.server.probes import forced_full_page_writes, set_full_page_writes
from harness.server.session import SqlError
from harness.server.wal import lsn_to_int
from model.operations import RestartKind
from properties.recording.tally import Tally
from properties.support.profiles import UNSHRUNK, examples
from properties.support.replicated import Pair, promote, replicated
from properties.support.restoring import TORN, check_refusal, check_restore
from properties.support.server_lockstep import ServerLockstep, copy_while, live

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("multi_session")]


@pytest.fixture(scope="module")
def pair(instrumented: Build, implementation: Implementation) -> Iterator[Pair]:
    """A pair for backups that leave it as it was."""
    with replicated(instrumented, implementation) as pair:
        pair.catch_up()
        yield pair


def test_a_backup_of_a_standby_is_restored_as_it_was_at_its_stop(
    pair: Pair, implementation: Implementation, tally: Tally
) -> None:
    """The primary writes all the while, and the standby replays it."""

    @settings(
        max_examples=examples(1 / 300, at_least=2), phases=UNSHRUNK
    )  # a few steps are short enough: no minutes of shrinking
    @given(st.lists(st.sampled_from(STEPS), min_size=2, max_size=6), st.integers(0, 999), st.booleans())
    def take_and_restore(steps: list[Step], seed: int, to_the_end: bool) -> None:
        with tally.example(), temporary_folder() as folder:
            backups = ServerLockstep(pair.standby, implementation, tally)
            start_point = backups.start("a")
            with pgbench(pair.primary, clients=2):
                snapshot = pair.copy(folder / "copy", steps, seed)
                stopped = backups.stop("a")
            archive_all(pair.primary, pair.writer)
            label_file = parse_label_file(stopped.files.labelfile or "")
            assert (label_file.source, label_file.start_lsn) == ("standby", start_point)
            scenario = f"standby, to the {'end of the archive' if to_the_end else 'stop point'}"
            taken = pair.primary, snapshot, stopped.files
            check_restore(tally, scenario, *taken, restorable=stopped.restorable, to_the_end=to_the_end)
            for _ in range(steps.count(create_database)):
                drop_database(pair.writer, pair.chance)

    take_and_restore()


def test_overlapping_backups_of_a_standby_are_restored(
    pair: Pair, implementation: Implementation, tally: Tally, copies: Path
) -> None:
    """Also where their start points coincide, which those of a primary never do."""
    with tally.example():
        backups = ServerLockstep(pair.standby, implementation, tally)
        point = backups.start("first")
        assert backups.start("second") == point, "nothing was replayed in between: there is no other point to start at"
        early = pair.copy(copies / "early", [transfers, checkpoint])
        assert lsn_to_int(backups.start("third")) > lsn_to_int(point)
        first = backups.stop("first")
        late = pair.copy(copies / "late", [transfers, checkpoint, big_update])
        third, second = backups.stop("third"), backups.stop("second")
        archive_all(pair.primary, pair.writer)
        for which, snapshot, one in (("first", early, first), ("second", late, second), ("third", late, third)):
            scenario = f"standby: the {which} of three that overlap"
            check_restore(tally, scenario, pair.primary, snapshot, one.files, restorable=one.restorable)


@pytest.mark.usefixtures("tokens")
def test_the_token_of_one_start_does_nothing_to_another_with_the_same_start_point(
    pair: Pair, implementation: Implementation, tally: Tally
) -> None:
    """A job that has given its backup up comes late, by whichever operation, when another one has its label."""
    operations = (implementation.stop, str(implementation.renew), str(implementation.abort))
    given = {"label": "nightly", "fast": True, "ttl": None, "wait": False}
    session = pair.standby.connect()
    with tally.example():
        for last in operations:
            late = session.execute(implementation.start, given)[0]
            session.execute(str(implementation.abort), {**given, "token": late[1]})
            current = session.execute(implementation.start, given)[0]
            assert current[0] == late[0], "nothing was replayed in between: there is no other point to start at"
            for operation in operations:
                with pytest.raises(SqlError, match="does not have the token") as refusal:
                    session.execute(operation, {**given, "token": late[1]})
                assert refusal.value.sqlstate == "55000"
                assert live(pair.standby, implementation) == {"nightly"}
                tally.steps += 1
            session.execute(str(implementation.renew), {**given, "token": current[1]})
            session.execute(last, {**given, "token": current[1]})
            assert live(pair.standby, implementation) == ({"nightly"} if last == implementation.renew else set())
            if last == implementation.renew:
                session.execute(str(implementation.abort), {**given, "token": current[1]})
    session.close()


def test_treated_wrongly_a_copy_of_a_standby_is_not_restored(
    pair: Pair, implementation: Implementation, tally: Tally, copies: Path
) -> None:
    """The negative control: without the label file, and with one that speaks of a primary."""
    with tally.example():
        checkpoint(pair.writer, pair.chance)  # a start point of its own: not that of the copy that became the standby
        pair.catch_up()
        backups = ServerLockstep(pair.standby, implementation, tally)
        backups.start("a")
        snapshot = pair.copy(copies / "copy", [big_update, checkpoint, transfers])
        stopped = backups.stop("a")
        archive_all(pair.primary, pair.writer)
        labelfile = (stopped.files.labelfile or "").replace("BACKUP FROM: standby", "BACKUP FROM: primary")
        bare, wrong = replace(stopped.files, labelfile=None), replace(stopped.files, labelfile=labelfile)
        taken = pair.primary, snapshot
        right = "control: the copy of a standby with its label file"
        whole = check_restore(tally, right, *taken, stopped.files, restorable=stopped.restorable)
        assert whole.torn_pages > 0, "no page of the copy is torn: the load does not test what the backup is for"
        check_refusal(tally, "control: the copy of a standby without its label file", *taken, bare, TORN)
        primary = "control: the copy of a standby with the label file of a primary"
        check_refusal(tally, primary, *taken, wrong, "WAL ends before end of online backup", to_the_end=True)


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("kind", RestartKind)
def test_a_restart_of_a_standby_forgets_its_backups(
    pair: Pair, implementation: Implementation, tally: Tally, copies: Path, kind: RestartKind
) -> None:
    """... and a new one is restored."""
    with tally.example():
        backups = ServerLockstep(pair.standby, implementation, tally)
        backups.start("a")
        backups.restart(kind)
        with pytest.raises(SqlError) as refusal:
            backups.stop("a")
        assert refusal.value.sqlstate == "42704", refusal.value
        backups.start("a")
        snapshot = pair.copy(copies / "copy", [transfers, checkpoint])
        again = backups.stop("a")
        archive_all(pair.primary, pair.writer)
        scenario = f"standby: begun anew after a restart ({kind})"
        check_restore(tally, scenario, pair.primary, snapshot, again.files, restorable=again.restorable)


# What core refuses


def promotion(here: Pair) -> None:
    """The standby becomes a primary."""
    promote(here.standby)


def wal_without_full_pages(here: Pair) -> None:
    """The primary writes, and the standby replays, WAL from which torn pages cannot be mended."""
    set_full_page_writes(here.primary, here.writer, on=False)
    transfers(here.writer, here.chance)
    checkpoint(here.writer, here.chance)
    here.catch_up()


@pytest.mark.parametrize("cause", [promotion, wal_without_full_pages])
def test_a_stop_that_core_refuses_on_a_standby_leaves_no_trace(
    instrumented: Build,
    implementation: Implementation,
    tally: Tally,
    copies: Path,
    cause: Callable[[Pair], None],
) -> None:
    """No label, and, as shows once the standby has been promoted, nothing that core counts; backups go on."""
    with tally.example(), replicated(instrumented, implementation) as here:
        ServerLockstep(here.standby, implementation, tally).start("a")
        cause(here)
        session = here.standby.connect()
        for sqlstate in ("55000", "42704"):  # core's refusal; and then there is no such backup
            with pytest.raises(SqlError) as refusal:
                session.execute(implementation.stop, {"label": "a", "wait": True, **UNFENCED})
            assert refusal.value.sqlstate == sqlstate, refusal.value
            tally.steps += 1
        assert not live(here.standby, implementation)
        promote(here.standby)
        set_full_page_writes(here.standby, session, on=False)
        assert not forced_full_page_writes(session), "core still runs the backup that it refused to stop"
        backups = ServerLockstep(here.standby, implementation, tally)
        backups.start("a")
        assert forced_full_page_writes(session), "core does not run the backup of the promoted server"
        load = [partial(step, session, here.chance) for step in (checkpoint, big_update, transfers, checkpoint)]
        snapshot = copy_while(here.standby, copies / "copy", load, Pace(rounds=1))
        stopped = backups.stop("a")
        transfers(session, here.chance)
        archive_all(here.standby, session)
        scenario = f"standby: promoted after a stop refused by {cause.__name__.replace('_', ' ')}"
        taken = here.standby, snapshot, stopped.files
        check_restore(tally, scenario, *taken, restorable=stopped.restorable, timeline=2)
