"""Properties that share a server find its settings as they come, whatever the others have made of them."""

from pathlib import Path

import pytest

from harness.building.build import Build
from harness.machine.postgres import Postgres
from properties.bench.made_campaigns import campaign

SERVERS = """
from harness.server.changes import changed

def work_mem(cluster):
    session = cluster.connect()
    ((value,),) = session.execute("SHOW work_mem")
    session.close()
    return value

def test_examples_vary_settings(client):
    client.set(max_backups=0)

def test_a_session_does_not_find_them(clean_session):
    clean_session.execute("SELECT shared_backup_start('a', true)")

def test_settings_are_left(cluster):
    cluster.configure({"work_mem": "7MB"})
    cluster.reload()
    assert work_mem(cluster) == "7MB"

def test_nobody_finds_them(cluster):
    assert work_mem(cluster) == "4MB"

def test_a_failure_leaves_none(cluster):
    with changed(cluster, {"work_mem": "7MB"}):
        assert work_mem(cluster) == "4MB"

def test_nobody_finds_those(cluster):
    assert work_mem(cluster) == "4MB"
"""


@pytest.mark.server
def test_settings_are_put_back(tmp_path: Path, postgres: Postgres, instrumented: Build) -> None:
    run = campaign(tmp_path, f"--pg-config={postgres.pg_config}", test_servers=SERVERS)
    assert [(one["name"], one["verdict"]) for one in run.json["properties"]] == [
        ("examples vary settings", "holds"),
        ("a session does not find them", "holds"),
        ("settings are left", "crashed"),
        ("nobody finds them", "holds"),
        ("a failure leaves none", "fails"),
        ("nobody finds those", "holds"),
    ]
    assert "these settings of a shared server were not put back: work_mem" in run.one("settings are left")["reason"]
    failure = run.one("a failure leaves none")
    assert "7MB" in failure["reason"]
    assert "not put back" not in (run.results / "latest" / failure["failure"]).read_text()
