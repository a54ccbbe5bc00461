"""The extension does nothing undefined, and touches no memory that is not its own: a walk under the sanitizers.

``nox -s verify -- --sanitize`` runs every property so; here is what every run can afford.
"""

import pytest

from harness.building.build import Flavour, Special, build
from harness.clients.client import Client
from harness.clients.implementation import DURABLE, SHARED, Implementation
from harness.machine.postgres import Postgres
from harness.machine.project import cache_folder
from properties.recording.tally import Tally
from properties.support.servers import installed_server
from properties.walks.conformance import walk

pytestmark = pytest.mark.server


@pytest.mark.parametrize("design", [SHARED, DURABLE], ids=lambda design: design.name)
def test_the_sanitizers_find_nothing(
    design: Implementation, postgres: Postgres, implementation: Implementation, tally: Tally
) -> None:
    """They end the process that trips over them, and the server with it: that is an alarm."""
    if implementation != SHARED:
        pytest.skip("only the extension is built here")
    sanitized = build(postgres, Flavour.INSTRUMENTED, cache_folder(), special=Special.SANITIZERS)
    with installed_server(sanitized, design) as cluster:
        walk(Client(cluster, design), tally, share=0.3, at_most=15)
