"""Backups whose state a catalogue table keeps over restarts, naively: what the thread asked about, and why it fails."""

from dataclasses import replace
from typing import Any

from harness.clients.client import Client
from harness.clients.implementation import SHARED, UNFENCED
from model.design import CATALOG
from model.operations import Hazard
from properties.durable.lockstep import Fall, bring_down_and_up

CATALOGUE = replace(SHARED, name="catalogue", design=CATALOG, prepare=(), freeze_clock=None, advance_clock=None)
"""The extension, where somebody keeps what it knows of running backups. Its clock stays as it is: a restart sets it."""

CARRY_OUT = "SELECT label, owner, shared_backup_carry_out(label) FROM shared_backups WHERE state = 'active'"
CARRY_IN = "SELECT shared_backup_carry_in(%(label)s, %(state)s)"


class FallingClient(Client):
    """A client of a server that goes down in one of several ways."""

    fall = Fall.FAST

    def restart(self, kind: str, hazard: Hazard | None = None) -> None:
        """Restarts the server that way; its sessions are gone, and so is its clock's position."""
        self.note(f"-- the server is restarted ({self.fall})")
        self.close_all()
        bring_down_and_up(self.cluster, self.fall)
        self.admin = self.cluster.connect()
        self.freeze()


class CatalogueClient(FallingClient):
    """A client of a server that knows its running backups again after a restart."""

    def restart(self, kind: str, hazard: Hazard | None = None) -> None:
        """Restarts the server; their state is carried over."""
        kept = self.admin.execute(CARRY_OUT)
        super().restart(kind, hazard)
        self.carry_in(kept)

    def carry_without_a_restart(self) -> None:
        """The same, while the server stays up: it is only made to forget them."""
        kept = self.admin.execute(CARRY_OUT)
        for label, _owner, _state in kept:
            self.admin.execute(str(self.implementation.abort), {"label": label, **UNFENCED})
        self.carry_in(kept)

    def carry_in(self, kept: list[Any]) -> None:
        """Each is started anew, so that core counts it and forces full-page writes, and made the one that it was."""
        for label, owner, state in kept:
            session = self.cluster.connect(owner)
            session.execute(self.implementation.start, {"label": label, "fast": True, "ttl": None})
            session.close()
            self.note(f"-- the state of {label} is carried in: {len(state)} bytes")
            self.admin.execute(CARRY_IN, {"label": label, "state": state})
