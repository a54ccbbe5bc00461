"""The settings take what the README's table says, and no others do; ``test_readme.py`` compares the other columns."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from harness.building.build import Build
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Session, SqlError
from properties.support.readme import rows_of

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]


class Setting(NamedTuple):
    """A row of the table."""

    name: str
    words: str

    @property
    def lowest(self) -> int | None:
        """The lowest number that the table gives a meaning, or says is refused below; None: it takes no numbers."""
        numbers = [int(number) for number in re.findall(r"`(-?\d+)`", self.words)]
        least = re.search(r"at least `(\d+)`", self.words)
        return int(least[1]) if least else min(numbers, default=None)


def rows() -> list[Setting]:
    """The table."""
    return [Setting(name.strip("`"), words) for name, _default, _changed_by, words in rows_of("Settings")]


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


def test_the_lowest_value_is_the_one_that_the_table_tells_of(admin: Session) -> None:
    told = {row.name: str(row.lowest) for row in rows() if row.lowest is not None}
    query = "SELECT name, min_val FROM pg_settings WHERE name LIKE 'shared\\_backup.%' AND min_val IS NOT NULL"
    assert dict(admin.execute(query)) == told


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
