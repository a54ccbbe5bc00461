"""Is what was found in PostgreSQL still there? A stock server is asked, by the script that a person would run.

It fails when a new PostgreSQL has mended something: then the page is to say so.
"""

import pytest

from harness.building.build import Build
from properties.findings.catalogue import FINDINGS, SCRIPTS, Finding
from properties.findings.script import run
from properties.recording.tally import Tally


@pytest.mark.server
@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.script)
def test_what_was_found_in_postgresql_is_still_there(release: Build, tally: Tally, finding: Finding) -> None:
    """The build only says where there is a PostgreSQL that the server's user can run: nothing of it is loaded."""
    postgres = release.postgres
    if lacking := finding.lacking(postgres.version):
        pytest.skip(lacking)
    with tally.example():
        answer = run(SCRIPTS / f"{finding.script}.sh", postgres)
    tally.notes.append(f"{'shown' if answer.shown else 'not shown'}: {answer.sentence}")
    if contradiction := finding.contradiction(postgres.version, answer.shown):
        pytest.fail(f"{contradiction}\n\n{answer.said}", pytrace=False)
