"""The queries and alerts for Prometheus: the SQL is run, and names mean what there is."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import yaml

from harness.building.build import Build
from harness.server import durable
from harness.server.cluster import Cluster, open_cluster
from harness.server.session import Session
from model.operations import Hazard
from properties.support.hooks import EXAMPLES

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

QUERIES = yaml.safe_load((EXAMPLES / "postgres_exporter.yaml").read_text(encoding="utf-8"))
ALERTS = yaml.safe_load((EXAMPLES / "alerts.yaml").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
KINDS = {"COUNTER", "GAUGE"}


@pytest.fixture
def server(instrumented: Build) -> Iterator[Cluster]:
    with open_cluster(instrumented, settings={**durable.SETTINGS, "full_page_writes": "on"}) as server:
        session = server.connect()
        for extension in ("shared_backup", "shared_backup_instruments"):
            session.execute(f"CREATE EXTENSION {extension}")
        session.execute("CREATE ROLE watcher LOGIN IN ROLE pg_monitor")
        session.close()
        yield server


def scraped(server: Cluster) -> dict[str, Any]:
    """What an exporter makes of the queries, as a role that may see and do nothing."""
    watcher: Session = server.connect("watcher")
    found: dict[str, Any] = {}
    for name, entry in QUERIES.items():
        (row,) = watcher.execute(entry["query"])
        columns = [column for metric in entry["metrics"] for column in metric]
        assert {kind["usage"] for metric in entry["metrics"] for kind in metric.values()} <= KINDS
        found |= {f"{name}_{column}": value for column, value in zip(columns, row, strict=True)}
    watcher.close()
    return found


def test_an_exporter_finds_what_there_is(server: Cluster) -> None:
    quiet = scraped(server)
    assert {type(value) for value in quiet.values()} <= {int, Decimal}
    session = server.connect()
    session.execute("SELECT shared_backup_clock_freeze()")
    session.execute("SELECT shared_backup_start('expiring', true, '1 hour'); SELECT shared_backup_clock_advance('2 h')")
    session.execute("SELECT shared_backup_reaper_settle(); SELECT shared_backup_start('endless', true)")
    found = scraped(server)
    changed = {name: found[name] for name in found if found[name] != quiet[name]}
    assert changed.keys() == {
        *("shared_backup_started", "shared_backup_expired"),
        *("shared_backup_live_backups", "shared_backup_live_oldest_seconds", "shared_backup_live_without_deadline"),
    }
    session.close()
    durable.restart(server, "fast", Hazard.PAGE_WRITES_OFF).close()
    assert scraped(server)["shared_backup_lost"] == 1
    assert scraped(server)["shared_backup_live_oldest_seconds"] == 0


def test_the_age_is_that_of_the_oldest_live_backup(server: Cluster) -> None:
    session = server.connect()
    session.execute("SELECT shared_backup_start('first', true)")
    session.execute("SELECT shared_backup_start('second', true)")
    by_hand = "SELECT extract(epoch FROM now() - start_time) FROM shared_backups WHERE label = 'first'"
    before = session.execute(by_hand)[0][0]
    age = scraped(server)["shared_backup_live_oldest_seconds"]
    assert before < age < session.execute(by_hand)[0][0]
    session.close()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_metrics_that_there_are(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\bshared_backup_\w+", rule["expr"]))
    known = {f"{name}_{column}" for name, entry in QUERIES.items() for metric in entry["metrics"] for column in metric}
    assert named
    assert named <= known
