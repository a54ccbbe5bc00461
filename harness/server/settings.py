"""The server's configuration, as the bench writes it: one file that postgresql.conf includes, always written whole."""

from collections.abc import Mapping
from pathlib import Path

from harness.machine.postgres import ServerUser
from harness.server.node import PORT, give

FILE = "bench.conf"

DEFAULTS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": str(PORT),
    "fsync": "off",
    "autovacuum": "off",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "wal_keep_size": "0",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "1h",
    "max_connections": "50",
    "max_worker_processes": "16",
    "hot_standby": "on",
    # Segments of dynamic shared memory lie in the data directory, so that they go when it goes, also after a crash.
    "dynamic_shared_memory_type": "mmap",
    "statement_timeout": "60s",  # whatever takes longer hangs, and must not hang the bench
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u %b ",
    "log_checkpoints": "off",
    "log_error_verbosity": "default",
}


STARTS_AT_ONCE: Mapping[str, str] = {"shared_backup.max_starters": "3"}
"""For servers where three starts are held when each has its worker, which the default would not let them have."""


def write_settings(data_dir: Path, settings: Mapping[str, str], user: ServerUser | None) -> None:
    """Writes the settings to the data directory's bench.conf, in place of what stood there."""
    text = "".join(f"{name} = {quote(value)}\n" for name, value in settings.items())
    fresh = data_dir / (FILE + ".new")
    fresh.write_text(text)
    give(fresh, user)
    fresh.rename(data_dir / FILE)


def include_settings(data_dir: Path) -> None:
    """Makes postgresql.conf include bench.conf at its end, where it has the last word."""
    with (data_dir / "postgresql.conf").open("a") as configuration:
        configuration.write(f"include '{FILE}'\n")


def quote(value: str) -> str:
    """A setting's value as the configuration file's syntax wants it: in quotes, quotes and backslashes doubled."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
