"""The extension hands on the hooks of libraries that were loaded before it, and those after it find its own."""

import pytest

from harness.building.build import Build
from harness.clients.implementation import Implementation, install
from harness.server.cluster import open_cluster

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

OTHER = "pg_stat_statements"
"""Comes with PostgreSQL, and asks for shared memory by the same hooks."""


@pytest.mark.parametrize("before", [OTHER, ""], ids=["before it", "after it"])
def test_a_library_that_has_the_same_hooks_works_beside_it(
    instrumented: Build, implementation: Implementation, before: str
) -> None:
    if not (instrumented.postgres.pkglibdir / f"{OTHER}.so").is_file():
        pytest.skip(f"this PostgreSQL comes without {OTHER}")
    libraries = [before, implementation.preload or "", "" if before else OTHER]
    preload = ",".join(filter(None, libraries))
    with open_cluster(instrumented, settings={"shared_preload_libraries": preload}) as cluster:
        session = cluster.connect()
        install(implementation, session)
        session.execute(f"CREATE EXTENSION {OTHER}")
        session.execute("SELECT shared_backup_start('beside', true)")
        session.execute("SELECT shared_backup_stop('beside', false)")
        seen = f"SELECT sum(calls) FROM {OTHER} WHERE query ~ '^SELECT shared_backup_(start|stop)'"
        assert session.execute(seen) == [(2,)], "it has not counted what it was to count"
        session.close()
