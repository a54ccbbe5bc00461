"""Backups whose state a catalogue table keeps over restarts, naively: what the thread asked about, and why it fails."""

from dataclasses import replace

from harness.clients.client import Client, Restarter
from harness.clients.implementation import SHARED, UNFENCED
from harness.server.session import Row, Session
from model.design import CATALOG
from model.operations import Hazard
from properties.durable.lockstep import Fall, bring_down_and_up

CATALOGUE = replace(SHARED, name="catalogue", design=CATALOG, freeze_clock=None, advance_clock=None)
"""The extension, where somebody keeps what it knows of running backups. Its clock stays as it is: a restart sets it."""

CARRY_OUT = "SELECT label, owner, shared_backup_carry_out(label) FROM shared_backups WHERE state = 'active'"
CARRY_IN = "SELECT shared_backup_carry_in(%(label)s, %(state)s)"


def falling(fall: Fall) -> Restarter:
    """Restarts the server that way, of which the model knows less."""

    def restart(client: Client, kind: str, hazard: Hazard | None) -> Session:
        client.note(f"-- ... by: {fall}")
        bring_down_and_up(client.cluster, fall)
        return client.cluster.connect()

    return restart


def carrying(restarter: Restarter) -> Restarter:
    """Restarts the server; it knows its running backups again afterwards."""

    def restart(client: Client, kind: str, hazard: Hazard | None) -> Session:
        session = client.cluster.connect()
        kept = session.execute(CARRY_OUT)
        session.close()
        admin = restarter(client, kind, hazard)
        carry_in(client, admin, kept)
        return admin

    return restart


def carry_without_a_restart(client: Client) -> None:
    """The same, while the server stays up: it is only made to forget them."""
    kept = client.admin.execute(CARRY_OUT)
    for label, _owner, _state in kept:
        client.admin.execute(str(client.implementation.abort), {"label": label, **UNFENCED})
    carry_in(client, client.admin, kept)


def carry_in(client: Client, admin: Session, kept: list[Row]) -> None:
    """Each is started anew, so that core counts it and forces full-page writes, and made the one that it was."""
    for label, owner, state in kept:
        session = client.cluster.connect(owner)
        session.execute(client.implementation.start, {"label": label, "fast": True, "ttl": None})
        session.close()
        client.note(f"-- the state of {label} is carried in: {len(state)} bytes")
        admin.execute(CARRY_IN, {"label": label, "state": state})
