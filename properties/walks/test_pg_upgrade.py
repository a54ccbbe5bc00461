"""pg_upgrade takes the extension along, and who may use it; what is open in the old server is lost, and it says why.

From a version to itself: what it does is the same, and one PostgreSQL is enough.
"""

from dataclasses import replace

import pytest

from harness.building.build import Build, Special
from harness.faults.offline import new_cluster
from harness.machine.install import copy_install, link_tree, relocated
from harness.machine.postgres import server_user
from harness.machine.scratch import program_folder
from harness.server import durable
from harness.server.cluster import open_cluster
from harness.server.session import SqlError
from properties.recording.tally import Tally

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension", "durable_backups")]

SETTINGS = {"shared_preload_libraries": "shared_backup", **durable.SETTINGS}
START = "SELECT token FROM shared_backup_start('{}', true)"
STOP = "SELECT labelfile, controlfile IS NULL, repeated FROM shared_backup_stop('{}', false)"
SHOWN = "SELECT label, state, token FROM shared_backups"
UPGRADED = "pg_upgrade has started the server since the backup was started."
MAY = (
    "SELECT has_function_privilege('my_backup_role', oid, 'execute') FROM pg_proc WHERE proname = 'shared_backup_start'"
)


@pytest.fixture(scope="module")
def installed(release: Build, special: Special | None) -> Build:
    """The extension among the server's own libraries: pg_upgrade finds it nowhere else (properties/findings)."""
    if special is not None:
        pytest.skip(f"pg_upgrade starts servers by itself, which lack what {special} need")
    if not release.postgres.binary("pg_upgrade").is_file():
        pytest.skip("this PostgreSQL comes without pg_upgrade")
    folder, user = program_folder() / "installed", server_user()
    copy_install(release.postgres, folder, user)
    copy = relocated(release.postgres, folder, user)
    link_tree(release.stage / "lib", copy.pkglibdir)
    link_tree(release.stage / "share" / "extension", copy.sharedir / "extension")
    return replace(release, postgres=copy, settings={})


def test_the_new_server_has_the_extension_and_the_old_one_has_lost_its_backups(installed: Build, tally: Tally) -> None:
    """The new one may have the files of the old one, and have written to them."""
    with tally.example(), open_cluster(installed, settings=SETTINGS) as old, new_cluster(old) as upgrade:
        session = old.connect()
        for statement in (
            "CREATE EXTENSION shared_backup",
            "CREATE ROLE my_backup_role",
            "GRANT EXECUTE ON FUNCTION shared_backup_start TO my_backup_role",
        ):
            session.execute(statement)
        ((token,),) = session.execute(START.format("open"))
        session.close()
        old.stop()
        done = upgrade.run()
        assert done.returncode == 0, done.stdout + done.stderr
        with upgrade.started() as new:
            session = durable.resumed(new)
            assert session.execute(SHOWN) == []
            assert session.execute(MAY) == [(True,)]
            session.execute(START.format("new"))
            assert session.execute(STOP.format("new"))[0][1:] == (True, False)
            session.close()
        session = durable.start(old)
        assert session.execute(SHOWN) == [("open", "lost", token)]
        with pytest.raises(SqlError) as refusal:
            session.execute(STOP.format("open"))
        assert refusal.value.detail == UPGRADED, refusal.value
        session.close()
        tally.steps += 4
