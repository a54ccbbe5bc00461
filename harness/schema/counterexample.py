"""A counterexample: a smallest history that breaks a promise, to be tried again (``nox -s replay``).

What is compared is in ``properties.support.lockstep`` (operations one after the other) and
``properties.concurrency.interleavings`` (phase by phase); here outcomes are words to read, as in ``history``.
"""

from msgspec import Struct

from harness.schema.run import Implementation, Scalar, Server

SCHEMA = 1
"""The version of this description."""

STARTING = ("Start", "Rollback", "StockStart")
"""The operations that take a start point."""


class Role(Struct, frozen=True, kw_only=True):
    """A role that there is at the beginning."""

    name: str
    superuser: bool = False
    execute: bool = False
    """EXECUTE on the backup functions, the implementation's and core's."""
    monitor: bool = False
    """A member of pg_monitor."""
    member_of: tuple[str, ...] = ()


class Step(Struct, frozen=True, kw_only=True):
    """One operation; or one phase of it, where others come between its phases."""

    who: str
    """The session and its role, or who else did it."""
    operation: str
    """Its name, as ``model.operations`` has it."""
    arguments: dict[str, Scalar | dict[str, Scalar]] = {}
    """By name; those of a start that is rolled back are in ``start``."""
    phase: int = 0
    """Which of its phases, from 1; 0: all of it, at once."""
    until: str | None = None
    """The injection point where it is to wait after this phase; null: it is to end."""
    sql: tuple[str, ...] = ()
    """What was sent, with the values filled in; but ``:'start_1_token'`` stands for the token of the first start (as
    psql has it after ``\\gset start_1_``), and ``:'start_1_start_lsn'`` for its start point. Of a later phase: nothing.
    """
    expected: str
    """``ok`` with what it was to return, the SQLSTATE with its name, or where it was to wait; there may be several."""
    came: str = ""
    """The same of what came, and the server's own words when it refused; empty: it was not tried any more."""

    @property
    def given(self) -> dict[str, Scalar]:
        """Its arguments, those of a start that is rolled back among them."""
        start = self.arguments.get("start")
        own = {name: value for name, value in self.arguments.items() if not isinstance(value, dict)}
        return {**own, **start} if isinstance(start, dict) else own

    @property
    def start(self) -> int | None:
        """The number of the start that took place in this step."""
        number = self.came.removeprefix("ok, ")
        return int(number) if self.operation in STARTING and number.isdigit() else None

    @property
    def outcome(self) -> str:
        """Without the server's words: ok, an SQLSTATE, or anything else that came."""
        return "ok" if self.came.startswith("ok") else self.came.partition(" ")[0]


class Counterexample(Struct, frozen=True, kw_only=True):
    """The history, and all that is needed to have it again."""

    schema: int = SCHEMA
    """The version of this description."""
    promise: str = ""
    """What is broken, a sentence: the name of the property."""
    test: str = ""
    """pytest's node id of the property."""
    found: str
    """What disagrees at the step that failed: it may be something else than its outcome."""
    failed: int
    """Which step that is, from 1."""
    implementation: Implementation
    server: Server
    """``settings``: those that its configuration has beside the bench's own."""
    flavour: str
    """Of the extension: instrumented or release."""
    roles: tuple[Role, ...] = ()
    """What there is at the beginning, as the next two. Nobody is connected then."""
    sessions: int
    """How many may be connected."""
    settings: dict[str, Scalar] = {}
    """By the model's names."""
    points: tuple[tuple[str, str | None], ...] = ()
    """Injection points that are armed before the first phase of the first operation that is not done whole, each for
    a label (null: for whoever has none)."""
    steps: tuple[Step, ...]
    """In the order in which they were done."""
