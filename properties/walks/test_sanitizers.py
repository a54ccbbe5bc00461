"""The extension does nothing undefined, and touches no memory that is not its own: a walk under the sanitizers.

``nox -s verify -- --sanitize`` runs every property so; here is what every run can afford.
"""

import pytest

from harness.building.build import Build, Flavour, Special, build
from harness.clients.client import Client
from harness.clients.implementation import DURABLE, SHARED, Implementation
from harness.machine.postgres import Postgres, SetupError
from harness.machine.project import cache_folder
from harness.server.tablespaces import add_tablespace
from properties.recording.tally import Tally
from properties.support.servers import installed_server
from properties.walks.conformance import walk

pytestmark = pytest.mark.server

LONG = "x" * 200
"""A name of a folder."""
ALIGNED = 8
"""Bytes that memory comes in, so that what is written behind the end of anything else stays unseen."""


@pytest.fixture(scope="module")
def sanitized(request: pytest.FixtureRequest, postgres: Postgres, implementation: Implementation) -> Build:
    """The extension with the sanitizers in it; skipped where they cannot be had, unless they were asked for."""
    if implementation != SHARED:
        pytest.skip("only the extension is built here")
    try:
        return build(postgres, Flavour.INSTRUMENTED, cache_folder(), special=Special.SANITIZERS)
    except SetupError as error:
        if request.config.getoption("--sanitize"):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("design", [SHARED, DURABLE], ids=lambda design: design.name)
def test_the_sanitizers_find_nothing(design: Implementation, sanitized: Build, tally: Tally) -> None:
    """They end the process that trips over them, and the server with it: that is an alarm."""
    with installed_server(sanitized, design) as cluster:
        walk(Client(cluster, design), tally, share=0.3, at_most=15)


def test_nothing_is_written_behind_a_tablespace_map_however_long_it_is(sanitized: Build, tally: Tally) -> None:
    """It is too large to share a block of memory with anything else, and ends at each place within eight bytes."""
    with installed_server(sanitized, SHARED) as cluster, tally.example():
        session = cluster.connect()
        for number in range(14):
            add_tablespace(cluster, session, f"t{number}", [f"{LONG}{below}" for below in range(3)])
        for length in range(ALIGNED):
            add_tablespace(cluster, session, f"last_{'x' * length}")
            session.execute("SELECT shared_backup_start('a', true)")
            ((size,),) = session.execute("SELECT octet_length(spcmapfile) FROM shared_backup_stop('a', false)")
            assert size > 8192, "it shares a block"
            session.execute("SELECT * FROM shared_backup_stop('a', false)")
            session.execute(f"DROP TABLESPACE last_{'x' * length}")
            tally.steps += 3
        session.close()
