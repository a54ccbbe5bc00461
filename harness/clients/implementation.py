"""What the bench tests: a design, and the SQL that carries out its operations.

An implementation is data. ``SHARED`` is the extension, ``SHARED_FIXED`` the same in preallocated memory, ``DURABLE``
with backups that survive restarts, ``THREAD`` without what the thread's proposal lacks, ``STOCK`` is core's
session-bound pair; a user's own comes from a TOML file (``load``) with the same fields, and nothing in the bench tells
them apart.
"""

import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from harness.machine.postgres import SetupError
from harness.server.session import Session
from model.design import DESIGNS, Design, OnRestart
from model.design import DURABLE as DURABLE_DESIGN
from model.design import SHARED as SHARED_DESIGN
from model.design import SHARED_FIXED as SHARED_FIXED_DESIGN
from model.design import STOCK as STOCK_DESIGN
from model.design import THREAD as THREAD_DESIGN


class Capability(StrEnum):
    """What an implementation may have beside the operations. All but the tokens are tested by the extension's names."""

    EXTENSION = "extension"
    """It is the extension of this project, with its names, its background process, its messages and its README."""
    TOKENS = "tokens"
    """A start has a token, by which it can be meant, and a stop says whether it is a repeated one."""
    DURABLE_BACKUPS = "durable backups"
    """A setting makes backups survive a restart of the server, by files that they are kept in."""
    RESULT_LIMITS = "limits on results"
    """Settings bound the results that are remembered, in number and in bytes."""
    STARTERS = "starters"
    """Background workers start the backups: so many at once as a setting says, and one waits for the next start."""
    INSTRUMENTS = "instruments"
    """Tests can hold an operation at injection points, limit its memory, and carry a backup's state out and in."""


@dataclass(frozen=True)
class Implementation:
    """SQL for a design's operations; None where the design has no such operation.

    Statements take psycopg's named parameters: ``label``, ``fast``, ``ttl`` (an interval as text), ``wait``; and for a
    fence ``token`` or ``start_lsn``, whichever it has. A start returns the start point and, if starts have one, the
    token; a stop the columns lsn, labelfile, spcmapfile and, as far as there are such, controlfile, stop_time,
    repeated; a renewal the new deadline; the view label, state, owner, start_lsn, start_time, expires_at, stop_lsn,
    stop_time, from_standby and, if there is one, token. A deadline that is null is none.
    """

    name: str
    design: Design
    start: str
    stop: str
    abort: str | None = None
    renew: str | None = None
    view: str | None = None
    preload: str | None = None
    """For shared_preload_libraries."""
    server_settings: dict[str, str] = field(default_factory=dict)
    """Settings that its server starts with."""
    prepare: tuple[str, ...] = ()
    """Statements that a superuser runs once in a new database."""
    prepare_instruments: tuple[str, ...] = ()
    """The same for what only tests use, such as a clock that they move."""
    capabilities: tuple[Capability, ...] = ()
    """What it has beside the operations; tests that need more are skipped."""
    functions: tuple[str, ...] = ()
    """Signatures of the functions that EXECUTE is granted on."""
    settings: dict[str, str] = field(default_factory=dict)
    """The names of its settings, by the model's: max_backups, ttl, stop_policy, result_retention, max_results."""
    freeze_clock: str | None = None
    """Stops its clock and returns the time; None: it has no clock that a test can move."""
    advance_clock: str | None = None
    """Moves its clock by ``interval``, and returns when what was due has been done."""
    settings_loaded: str | None = None
    """When its background process last read the configuration; None: it has none that does."""
    counts: str | None = None
    """Numbers that are all zero while no backup is open or remembered, such as those of what it has in memory."""

    @property
    def has_clock(self) -> bool:
        """Can time be moved?"""
        return self.freeze_clock is not None and self.advance_clock is not None

    @property
    def durable(self) -> bool:
        """Do its backups survive a restart of the server?"""
        return self.design.on_restart is OnRestart.RESUME


UNFENCED: dict[str, None] = {"start_lsn": None, "token": None}
"""The parameters of a stop, an abort or a renewal that names no start."""

STOCK = Implementation(
    name="stock",
    design=STOCK_DESIGN,
    start="SELECT pg_backup_start(%(label)s, %(fast)s)",
    stop="SELECT lsn, labelfile, spcmapfile FROM pg_backup_stop(%(wait)s)",
    functions=("pg_backup_start(text, boolean)", "pg_backup_stop(boolean)"),
)

SHARED = Implementation(
    name="shared",
    design=SHARED_DESIGN,
    start="SELECT start_lsn, token FROM shared_backup_start(%(label)s, %(fast)s, %(ttl)s::interval)",
    stop="SELECT lsn, labelfile, spcmapfile, controlfile, stop_time, repeated"
    " FROM shared_backup_stop(%(label)s, %(wait)s, %(token)s::uuid)",
    abort="SELECT shared_backup_abort(%(label)s, %(token)s::uuid)",
    renew="SELECT shared_backup_renew(%(label)s, %(ttl)s::interval, %(token)s::uuid)",
    view="SELECT label, state, owner, start_lsn, start_time, expires_at, stop_lsn, stop_time, from_standby, token"
    ' FROM shared_backups ORDER BY label COLLATE "C"',
    preload="shared_backup",
    prepare=("CREATE EXTENSION shared_backup",),
    prepare_instruments=("CREATE EXTENSION shared_backup_instruments",),
    capabilities=tuple(Capability),
    functions=(
        "shared_backup_start(text, boolean, interval)",
        "shared_backup_stop(text, boolean, uuid)",
        "shared_backup_abort(text, uuid)",
        "shared_backup_renew(text, interval, uuid)",
    ),
    settings={
        "max_backups": "shared_backup.max_backups",
        "ttl": "shared_backup.ttl",
        "stop_policy": "shared_backup.stop_policy",
        "result_retention": "shared_backup.result_retention",
        "max_results": "shared_backup.max_results",
    },
    freeze_clock="SELECT shared_backup_clock_freeze()",
    advance_clock="SELECT shared_backup_clock_advance(%(interval)s::interval)",
    settings_loaded="SELECT settings_loaded FROM shared_backup_reaper()",
    counts="SELECT live, results, results_size, chunks FROM shared_backup_counts()",
)

DURABLE = replace(
    SHARED,
    name="durable",
    design=DURABLE_DESIGN,
    server_settings={"shared_backup.durable": "on"},
)


def with_room(max_backups: int) -> Implementation:
    """The extension in memory that is preallocated for so many backups."""
    settings = SHARED_FIXED_DESIGN.settings._replace(max_backups=max_backups)
    return replace(
        SHARED,
        name=SHARED_FIXED_DESIGN.name,
        design=replace(SHARED_FIXED_DESIGN, settings=settings),
        server_settings={
            "shared_backup.storage": "fixed",
            "shared_backup.max_backups": str(settings.max_backups),
            "shared_backup.max_results": str(settings.max_results),
        },
    )


SHARED_FIXED = with_room(SHARED_FIXED_DESIGN.settings.max_backups or 0)

THREAD = replace(
    SHARED,
    name="thread",
    design=THREAD_DESIGN,
    stop="SELECT lsn, labelfile, spcmapfile FROM shared_backup_stop(%(label)s, %(wait)s)",
    abort="SELECT shared_backup_abort(%(label)s)",
    renew=None,
    server_settings={"shared_backup.result_retention": "0"},
    capabilities=(),
    functions=tuple(one for one in SHARED.functions if "renew" not in one),
    settings={name: SHARED.settings[name] for name in ("max_backups", "stop_policy")},
)

TABLES = ("design", "settings", "server_settings")
"""The fields that are tables."""

LISTS = ("prepare", "prepare_instruments", "capabilities", "functions")
"""The fields that are lists."""

BUILT_IN = {one.name: one for one in (SHARED, SHARED_FIXED, THREAD, DURABLE, STOCK)}


def without_instruments(implementation: Implementation) -> Implementation:
    """The same as its users have it: no clock to move, and nothing but what the release flavour installs.

    A limit to results is the background worker's to keep, and nothing tells when it has loaded one.
    """
    return replace(
        implementation,
        settings={name: setting for name, setting in implementation.settings.items() if name != "max_results"},
        name=f"{implementation.name} (release)",
        prepare_instruments=(),
        capabilities=tuple(one for one in implementation.capabilities if one is not Capability.INSTRUMENTS),
        freeze_clock=None,
        advance_clock=None,
        settings_loaded=None,
        counts=None,
    )


def install(implementation: Implementation, session: Session) -> None:
    """Runs what a superuser runs once in a new database; raises SqlError."""
    for statement in (*implementation.prepare, *implementation.prepare_instruments):
        session.execute(statement)


def find_implementation(name_or_path: str) -> Implementation:
    """One of ``BUILT_IN``, or that of a TOML file whose path it is; raises SetupError."""
    if name_or_path in BUILT_IN:
        return BUILT_IN[name_or_path]
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise SetupError(
            f'There is no implementation "{name_or_path}": say {", ".join(BUILT_IN)}, or name a .toml file.'
        )
    return load(path)


def load(path: Path) -> Implementation:
    """The implementation that a TOML file describes; raises SetupError with what is wrong in it."""
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise SetupError(f"{path} cannot be read ({error.strerror}): name an implementation's TOML file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} is no TOML ({error}): correct it.") from None
    return Implementation(**checked(path, table))


def checked(path: Path, table: dict[str, Any]) -> dict[str, Any]:
    """The fields of an Implementation, from a TOML table; raises SetupError."""
    known = {f.name: f for f in fields(Implementation)}
    for key, value in table.items():
        if key not in known:
            raise SetupError(f'{path}: there is no field "{key}"; the fields are {", ".join(known)}.')
        wanted = list if key in LISTS else dict if key in TABLES else str
        if not isinstance(value, wanted):
            raise SetupError(f'{path}: "{key}" must be a {"table" if wanted is dict else wanted.__name__}.')
    for key in ("name", "design", "start", "stop"):
        if key not in table:
            raise SetupError(f'{path}: the field "{key}" is missing.')
    lists = {key: tuple(table.get(key, ())) for key in LISTS}
    lists["capabilities"] = tuple(capability(path, name) for name in lists["capabilities"])
    return {**table, **lists, "design": design_of(path, table["design"])}


def capability(path: Path, name: str) -> Capability:
    """The capability of that name; raises SetupError."""
    try:
        return Capability(name)
    except ValueError:
        known = ", ".join(Capability)
        raise SetupError(f'{path}: there is no capability "{name}"; the capabilities are {known}.') from None


def design_of(path: Path, table: dict[str, Any]) -> Design:
    """A named design (``like``) with other choices; raises SetupError."""
    rest = dict(table)
    like = rest.pop("like", "shared")
    if like not in DESIGNS:
        raise SetupError(f'{path}: there is no design "{like}"; the designs are {", ".join(DESIGNS)}.')
    design = DESIGNS[like]
    settings = rest.pop("settings", {})
    try:
        chosen = replace(design, **rest, settings=design.settings._replace(**settings))
        return msgspec.convert({**asdict(chosen), "settings": list(chosen.settings)}, Design)
    except (TypeError, ValueError, msgspec.ValidationError) as error:
        raise SetupError(f"{path}: the design is wrong ({error}).") from None
