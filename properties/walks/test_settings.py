"""The settings are those of the README's table: names, defaults, when they change, and what they take."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from harness.building.build import Build
from harness.machine.project import EXTENSION
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Session, SqlError

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

CONTEXTS = {"reload": "sighup", "restart": "postmaster"}
"""What pg_settings calls what the table does."""


class Setting(NamedTuple):
    """A row of the table."""

    name: str
    default: str
    changed_by: str
    words: str

    @property
    def lowest(self) -> int | None:
        """The lowest number that the table gives a meaning, or says is refused below; None: it takes no numbers."""
        numbers = [int(number) for number in re.findall(r"`(-?\d+)`", self.words)]
        least = re.search(r"at least `(\d+)`", self.words)
        return int(least[1]) if least else min(numbers, default=None)


def rows() -> list[Setting]:
    """The table."""
    text = (EXTENSION / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Settings\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `(shared_backup\.\w+)` \| `(\S+)` \| (\w+) \| (.+) \|$", section, re.MULTILINE)
    return [Setting(*row) for row in found]


@pytest.fixture(scope="module")
def server(instrumented: Build) -> Iterator[Cluster]:
    """As the extension comes, but for where PostgreSQL finds it."""
    with open_cluster(instrumented) as server:
        yield server


@pytest.fixture
def admin(server: Cluster) -> Iterator[Session]:
    session = server.connect()
    yield session
    session.close()


def shown(admin: Session) -> dict[str, tuple[str, str, str]]:
    """What the server has: by name the default, as SHOW would have it, when it changes, and the lowest value."""
    found = admin.execute("SELECT name, current_setting(name), context, coalesce(min_val, '') FROM pg_settings"
                          " WHERE name LIKE 'shared\\_backup.%' AND source = 'default'")  # fmt: skip
    return {name: (default, context, lowest) for name, default, context, lowest in found}


def test_the_table_has_all_settings_with_their_defaults(admin: Session) -> None:
    table = {row.name: (row.default, CONTEXTS[row.changed_by]) for row in rows()}
    assert {name: found[:2] for name, found in shown(admin).items()} == table


def test_the_lowest_value_is_the_one_that_the_table_tells_of(admin: Session) -> None:
    told = {row.name: str(row.lowest) for row in rows() if row.lowest is not None}
    assert {name: lowest for name, (_, _, lowest) in shown(admin).items() if lowest} == told


def test_a_value_that_means_no_limit_is_told_by_the_server_too(admin: Session) -> None:
    """In the description that ``\\dconfig+`` and pg_settings show."""
    told = {row.name: match[1] for row in rows() if (match := re.search(r"`(-?\d+)`: (?:any|for ever)", row.words))}
    assert len(told) == 4
    described: dict[str, str] = dict(admin.execute("SELECT name, coalesce(extra_desc, '') FROM pg_settings"))
    assert {
        name: described[name] for name, value in told.items() if not described[name].startswith(f"{value} means ")
    } == {}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_a_value_below_the_lowest_is_refused_and_says_what_is_taken(admin: Session, row: Setting) -> None:
    wrong = "sometimes" if row.lowest is None else str(row.lowest - 1)
    with pytest.raises(SqlError) as refused:
        admin.execute(f"ALTER SYSTEM SET {row.name} = '{wrong}'")
    assert refused.value.sqlstate == "22023"
    assert row.name in refused.value.message


@pytest.mark.parametrize("name", ["max_backup", "time_to_live", "max_results_sizes"])
def test_a_setting_of_another_name_is_refused(admin: Session, name: str) -> None:
    """A misspelt limit must not look like one."""
    with pytest.raises(SqlError) as refused:
        admin.execute(f"SET shared_backup.{name} = 5")
    assert refused.value.sqlstate == "42602", str(refused.value)
