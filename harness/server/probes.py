"""Does any backup run? What no SQL function shows: is core forcing full-page writes? And what the view says.

Core counts running backups in ``XLogCtl->Insert.runningBackups`` and, while that is above zero, logs a whole page at
the first change after a checkpoint even with ``full_page_writes = off``. So with that setting off, the WAL that a small
update writes right after a CHECKPOINT tells from outside whether any backup runs.
"""

from harness.server.cluster import Cluster
from harness.server.session import Session

PATIENCE = 30.0
PAGE_IMAGE = 1000
"""Bytes of WAL: a small update alone writes under 200, the image of the probe's page over 4000."""

PREPARE = (
    "CREATE TABLE IF NOT EXISTS probe (counter int, ballast text) WITH (fillfactor = 50, autovacuum_enabled = off)",
    "ALTER TABLE probe ALTER ballast SET STORAGE PLAIN",
    "TRUNCATE probe",
    "INSERT INTO probe VALUES (0, NULL), (NULL, repeat('x', 3500))",
)


def prepare_probe(session: Session) -> None:
    """Makes the table that the probe updates: a short row beside a long one, which fills the page."""
    for statement in PREPARE:
        session.execute(statement)


def forced_full_page_writes(session: Session) -> bool:
    """Does core force full-page writes, that is, does any backup run? Needs ``full_page_writes = off``."""
    session.execute("CHECKPOINT")
    # A backend acts on what it knew at its last WAL record (doPageWrites in xlog.c): have it look again.
    before = session.execute("SELECT pg_logical_emit_message(false, 'probe', '')")[0][0]
    session.execute("UPDATE probe SET counter = counter + 1 WHERE counter IS NOT NULL")
    written = int(session.execute("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", (before,))[0][0])
    return written > PAGE_IMAGE


def lowered_too_often(session: Session) -> bool:
    """Is core's counter below zero? One backup more, by core's own functions, does not make it force anything then.

    There must be none running. Needs ``full_page_writes = off``.
    """
    session.execute("SELECT pg_backup_start('probe', true)")
    forced = forced_full_page_writes(session)
    session.execute("SELECT pg_backup_stop(false)")
    return not forced


def live_backups(session: Session, view: str) -> int:
    """How many backups the view shows as live."""
    return sum(row[1] in ("starting", "active", "stopping") for row in session.execute(view))


def set_full_page_writes(cluster: Cluster, session: Session, on: bool) -> None:
    """Turns the setting on or off in a running server, and waits until it acts on it.

    The checkpointer is who tells the others, at a time of its own: its next checkpoint says what it goes by.
    """
    cluster.configure({"full_page_writes": "on" if on else "off"})
    cluster.reload(sessions=[session])

    def acts() -> bool:
        session.execute("CHECKPOINT")
        return bool(session.execute("SELECT full_page_writes FROM pg_control_checkpoint()")[0][0] == on)

    cluster.wait_until(acts, PATIENCE, f"full_page_writes to be {'on' if on else 'off'}")
