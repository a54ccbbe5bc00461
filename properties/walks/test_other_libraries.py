"""The extension hands on the hooks of libraries that were loaded before it, and those after it find its own."""

import shlex
import subprocess
from pathlib import Path

import psycopg
import pytest

from harness.building.build import Build
from harness.building.compiler import find_tools
from harness.clients.implementation import Implementation, install
from harness.machine.postgres import Postgres
from harness.machine.scratch import program_folder
from harness.server.cluster import open_cluster

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

OTHER = "pg_stat_statements"
"""Comes with PostgreSQL, and asks for shared memory by the same hooks."""
WATCHER = """
#include "postgres.h"
#include "catalog/objectaccess.h"
#include "fmgr.h"
PG_MODULE_MAGIC;
static void
watch(ObjectAccessType access, Oid classId, Oid objectId, int subId, void *arg)
{
	if (access == OAT_DROP)
		ereport(NOTICE, (errmsg("somebody watches")));
}
void
_PG_init(void)
{
	object_access_hook = watch;
}
"""
"""As sepgsql does it, which PostgreSQL does not come with everywhere."""


def watcher(postgres: Postgres) -> Path:
    """The library, built where the server's user may load it."""
    library, tools = program_folder() / "watcher.so", find_tools(postgres)
    source = library.with_suffix(".c")
    source.write_text(WATCHER)
    command = [*shlex.split(tools.compiler), *shlex.split(tools.flags), f"-I{postgres.includedir_server}", "-shared"]
    subprocess.run([*command, "-o", library, source], check=True, capture_output=True)
    library.chmod(0o755)
    return library


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


def test_who_watched_what_is_dropped_still_does(
    postgres: Postgres, instrumented: Build, implementation: Implementation
) -> None:
    """Beside the extension, which warns if it is dropped while a backup is live."""
    preload = f"{watcher(postgres)},{implementation.preload}"
    with open_cluster(instrumented, settings={"shared_preload_libraries": preload}) as cluster:
        session = cluster.connect()
        install(implementation, session)
        session.execute("SELECT shared_backup_start('watched', true)")
        session.close()
        said: list[str | None] = []
        with psycopg.connect(**cluster.parameters(), autocommit=True) as connection:
            connection.add_notice_handler(lambda notice: said.append(notice.message_primary))
            connection.execute("DROP EXTENSION shared_backup CASCADE")
        assert "somebody watches" in said
        assert "1 shared backup is live while the extension is dropped" in said
