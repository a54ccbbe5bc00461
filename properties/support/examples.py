"""Where examples are kept that failed, until they do not fail any more: a folder, and a Redis that machines share."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase, MultiplexedDatabase

from harness.machine.postgres import SetupError
from harness.machine.project import ROOT

if TYPE_CHECKING:
    from redis import Redis

FOUND = Path(os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY", ROOT / ".hypothesis")) / "examples"
ANSWERS_WITHIN = 5  # seconds


def database(test: str, address: str | None = None) -> ExampleDatabase:
    """Of one test (pytest's name of it); with an address, what any machine has found is there on all.

    Several tests share a function that Hypothesis calls, and would share what it has found: the next of them throws
    away what does not fail there.
    """
    own = sha256(test.encode()).hexdigest()[:16]
    here = DirectoryBasedExampleDatabase(FOUND / own)
    if address is None:
        return here
    from hypothesis.extra.redis import RedisExampleDatabase  # takes the client along, which takes its time

    return MultiplexedDatabase(here, RedisExampleDatabase(client(address), key_prefix=f"shared-backup:{own}:".encode()))


def check_examples(address: str) -> None:
    """Raises SetupError if no Redis answers at the address."""
    from redis import RedisError

    try:
        client(address).ping()
    except (RedisError, ValueError, OSError) as error:
        raise SetupError(
            f"There is no Redis at {address} ({error}): start one with 'redis-server', or leave --examples out."
        ) from None


def client(address: str) -> Redis:
    """A client of a Redis; raises ValueError if that is no address of one."""
    from redis import Redis

    return Redis.from_url(address, socket_connect_timeout=ANSWERS_WITHIN, socket_timeout=ANSWERS_WITHIN)
