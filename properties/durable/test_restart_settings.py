"""Every setting that only a restart changes: whatever it becomes, no stop says yes to a copy that is not whole.

Those that a control file knows are looked at more closely in ``test_offline_settings.py``.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from harness.building.build import Build
from harness.restore.snapshot import Pace
from harness.restore.workload import big_update, checkpoint, transfers
from harness.server.cluster import ClusterError, open_cluster
from harness.server.durable import BUSY
from harness.server.session import SqlError
from properties.durable.judged import check_no_wrong_yes
from properties.durable.lockstep import SERVER, DurableServer, Fall, change, durable_server
from properties.recording.tally import Tally
from properties.support.profiles import UNSHRUNK, examples
from properties.support.server_lockstep import copy_while

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("durable_backups")]

KNOWN = (
    "SELECT name, vartype, min_val, max_val, enumvals, boot_val FROM pg_settings WHERE context = 'postmaster'"
    " AND name <> ALL (%s) ORDER BY name"
)
ELSEWHERE = [
    *("config_file", "data_directory", "external_pid_file", "hba_file", "ident_file", "extension_destdir"),
    *("listen_addresses", "port", "unix_socket_directories", "unix_socket_group", "unix_socket_permissions"),
    *("logging_collector", "dynamic_shared_memory_type", "allow_alter_system"),
]
"""Settings that say where the server, its files and its log are: with others, the bench does not find them."""
LEAST = {"max_connections": 20, "shared_buffers": 128, "max_files_per_process": 200}
"""With less, the bench cannot do its work."""
LARGEST = 300
"""Of numbers: what takes more is memory."""
LIBRARIES = {"shared_preload_libraries": ["shared_backup", "shared_backup", "", "shared_backup, auto_explain"]}
NEEDED = {"shared_preload_libraries": "shared_backup", "shared_backup.durable": "on", "archive_mode": "on"}
"""Without these there is no stop, or none that has its WAL archived."""
MINIMAL = {"wal_level": "minimal", "archive_mode": "off", "max_wal_senders": "0"}
"""Each needs the others."""
KEEP = {"wal_keep_size": "256MB"}
PATIENCE = 5.0  # seconds, for a server whose backups may never be back, as it has no worker for that
PAUSE = 0.01
FALLS = [Fall.FAST, Fall.FAST, Fall.IMMEDIATE, Fall.POSTMASTER]

Values = dict[str, str]
Choices = Mapping[str, list[str]]


@dataclass(frozen=True)
class SettingsPlan:
    """What happens in one example."""

    restarts: tuple[tuple[Fall, Values], ...]
    put_back: Fall | None
    """In the end, all settings are as they were; None: they stay, if a stop is possible."""
    seed: int


def values_of(name: str, kind: str, low: str, high: str, choices: list[str], usual: str | None) -> list[str]:
    """Values that a setting may have: the ends of its range, if any machine has room for them, and the usual one."""
    if kind == "bool":
        return ["on", "off"]
    if kind == "enum":
        return choices
    if kind == "integer":
        least = max(int(low), LEAST.get(name, int(low)))
        numbers = {least, least + 1, max(least, min(int(high), LARGEST)), max(least, int(usual or low))}
        return [str(number) for number in sorted(numbers) if number <= int(high)]
    return [usual or ""]


@pytest.fixture(scope="module")
def choices(instrumented: Build, durable_backups: None) -> Choices:
    """The settings of this PostgreSQL that only a restart changes, and of the extension, with values for each."""
    with open_cluster(instrumented, settings=SERVER) as server:
        session = server.connect()
        known = session.execute(KNOWN, (ELSEWHERE,))
        session.close()
    return {row[0]: values_of(*row) for row in known} | LIBRARIES


def test_there_are_settings_to_change(choices: Choices, tally: Tally) -> None:
    """What is drawn is what the server says, with more than one value for most."""
    tally.steps += len(choices)
    assert {"wal_level", "archive_mode", "max_replication_slots", "shared_backup.durable"} <= choices.keys()
    assert sum(len(values) > 1 for values in choices.values()) > 30


@st.composite
def plans(draw: st.DrawFn, choices: Choices) -> SettingsPlan:
    """One or two restarts with some settings changed, and perhaps another one with all put back."""

    def some_values() -> Values:
        names = draw(st.lists(st.sampled_from(sorted(choices)), min_size=1, max_size=6, unique=True))
        values = {name: draw(st.sampled_from(choices[name])) for name in names}
        return values | MINIMAL if values.get("wal_level") == "minimal" else values

    restarts = [(draw(st.sampled_from(FALLS)), some_values()) for _ in range(draw(st.integers(1, 2)))]
    return SettingsPlan(tuple(restarts), draw(st.none() | st.sampled_from(FALLS)), draw(st.integers(0, 999)))


class Server:
    """A durable server whose settings change at restarts."""

    def __init__(self, here: DurableServer, seed: int, counts: Counter[str]) -> None:
        self.here = here
        self.before = dict(here.origin.settings)
        self.chance = Random(seed)
        self.counts = counts

    def restart(self, fall: Fall, values: Mapping[str, str | None]) -> None:
        """It goes down and starts with these; if it cannot, as it was."""
        origin = self.here.origin
        self.here.session.close()
        origin.go_down(fall.kind)
        held = {name: origin.settings.get(name) for name in values}
        origin.configure(values)
        try:
            origin.start()
        except ClusterError:
            self.counts["starts that failed"] += 1
            origin.configure(held)
            origin.start()
        self.here.backups.session = origin.connect()

    def put_back(self, fall: Fall) -> None:
        """All settings are as they were."""
        now = self.here.origin.settings
        self.restart(fall, {name: self.before.get(name) for name in {*now, *self.before}})

    def write(self, part: int) -> None:
        """What the server does between two restarts."""
        for step in (transfers, checkpoint, change(part), big_update, checkpoint, transfers):
            step(self.here.session, self.chance)

    def back(self) -> bool:
        """Have the backups been read back?"""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self.here.session.execute("SELECT FROM shared_backups")
                return True
            except SqlError as error:
                if error.sqlstate != BUSY:
                    raise
            time.sleep(PAUSE)
        return False

    def come_to_an_end(self, put_back: Fall | None) -> None:
        """A stop is possible."""
        settings = self.here.origin.settings
        usual = all(settings.get(name, value) == value for name, value in NEEDED.items())
        if put_back is not None or not usual or not self.back():
            self.put_back(put_back or Fall.FAST)
        assert self.back(), "the backups are not back, though all settings are as they were"


def carry_out(here: DurableServer, plan: SettingsPlan, tally: Tally, counts: Counter[str]) -> None:
    """Takes the backup that is planned, and asks for its files."""
    server = Server(here, plan.seed, counts)
    here.backups.start("a")
    turns: list[Callable[[], object]] = [lambda: server.write(0)]
    for number, (fall, values) in enumerate(plan.restarts, 1):
        turns += [partial(server.restart, fall, values), partial(server.write, number)]
    turns += [lambda: server.come_to_an_end(plan.put_back), lambda: server.write(7)]
    snapshot = copy_while(here.origin, here.copies / "copy", turns, Pace(plan.seed, rounds=1))
    reason = check_no_wrong_yes(here, tally, "a", snapshot, "other settings after restarts")
    counts["whole" if reason is None else "refused"] += 1


def test_no_setting_that_a_restart_changes_makes_a_wrong_yes(
    instrumented: Build, choices: Choices, tally: Tally
) -> None:
    counts: Counter[str] = Counter()

    # what takes many seconds each is not made smaller: it is small
    @settings(max_examples=examples(1 / 100, at_least=1, at_most=100), phases=UNSHRUNK)
    @given(plans(choices))
    def take_and_restore(plan: SettingsPlan) -> None:
        note(f"{plan}")
        with durable_server(instrumented, tally, KEEP) as here:
            carry_out(here, plan, tally, counts)

    take_and_restore()
    tally.notes.append(f"durable, other settings: {', '.join(f'{what}: {n}' for what, n in sorted(counts.items()))}")
