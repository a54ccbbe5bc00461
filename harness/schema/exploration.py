"""``exploration.json``: an ``Exploration``, what the model alone shows of designs. ``graph-*.json``: a ``Graph``.

Times in states are seconds of the model's clock; others are seconds.
"""

from enum import StrEnum

from msgspec import Struct, field

from harness.schema.counterexample import Role
from harness.schema.run import Circumstances, Scalar


class Verdict(StrEnum):
    """How a design stands to a promise."""

    HOLDS = "holds"
    """Claimed, and kept in every situation that was reached."""
    BROKEN = "broken"
    """Claimed, and broken: a bug of the design, of the model, or of the promise."""
    NO = "no"
    """Not claimed, and broken."""
    UNCLAIMED = "unclaimed"
    """Not claimed, and not broken in these scopes."""


class Conclusion(StrEnum):
    """What came of a run."""

    HOLDS = "holds"
    """Every claim is kept."""
    BROKEN = "broken"
    """One is not."""
    PARTIAL = "partial"
    """No claim is broken in what was explored, and that was not everything."""
    INTERRUPTED = "interrupted"
    """The same."""


class Promise(Struct, frozen=True, kw_only=True):
    """What a user may rely on."""

    name: str
    sentence: str
    about: tuple[str, ...] = ()
    """The kinds of operations of which it is asked; none: it is asked of situations."""


class Design(Struct, frozen=True, kw_only=True):
    """A point among the axes."""

    name: str
    axes: dict[str, str]
    """What it has of each, by the name of the axis."""
    claims: tuple[str, ...]
    """The names of the promises that it makes."""


class Explored(Struct, frozen=True, kw_only=True):
    """A scope of a design."""

    design: str
    scope: str
    phases: bool
    """Operations overlapped, phase by phase; else they ran one after the other."""
    symmetry: bool
    """Situations were one that differ only in which session, label or role is which."""
    states: int
    """Situations."""
    transitions: int
    depth: int
    seconds: float
    """Of one processor."""
    complete: bool
    """Every situation was reached. If not, a claim was broken, or the time or the memory was up, or it was interrupted.
    """
    why: str = ""
    """Why it is not complete, in a few words."""


class Backup(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered under a label, with what no SQL shows."""

    label: str
    state: str
    owner: str
    start_point: int = 0
    """The number of its start; 0: none yet."""
    expires_at: int | None = None
    forget_at: int | None = None
    restorable: bool = True
    carried: bool = False
    replaces: str | None = None
    """The state of the backup that is put back if this start fails."""


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session."""

    role: str | None
    """Null: it is not connected."""
    stock: int = 0
    """The number of the start of core's own backup that it holds; 0: none."""
    amid: str = ""
    """The operation that it is in the middle of; empty: none."""
    on: str | None = None
    """The label of that."""
    next_phase: str = ""
    """What comes next of that."""


class State(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A situation."""

    now: int = 0
    core: int
    """How many backups core counts."""
    backups: tuple[Backup, ...] = ()
    """By label."""
    sessions: tuple[Session, ...]
    """By number."""
    settings: dict[str, Scalar] = {}
    """Those that are not as in the beginning."""
    roles: tuple[Role, ...] = ()
    """None: they are as in the beginning."""


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step of a history: an operation, one phase of it, or its being cut off."""

    number: int
    """From 1."""
    session: int | None = None
    """Null: an administrator does it, or it happens."""
    operation: str
    """Its name, as ``model.operations`` has it; ``Cancel`` or ``Lose``: that of its session is cut off."""
    arguments: dict[str, Scalar | dict[str, Scalar]] = {}
    """By name; those of a start that is rolled back are in ``start``."""
    phase: str = ""
    """Which phase of it; empty: all of it."""
    outcome: str
    """``ok`` and what it returned, an SQLSTATE with its name, ``...`` (it is under way), or ``nobody is told``."""
    after: State


class Counterexample(Struct, frozen=True, kw_only=True):
    """A shortest history that breaks a promise."""

    scope: str
    phases: bool
    roles: tuple[Role, ...]
    """Those that there are in the beginning."""
    settings: dict[str, Scalar]
    """Those of the beginning."""
    before: State
    steps: tuple[Step, ...]
    """The last one breaks it."""


class Judgement(Struct, frozen=True, kw_only=True):
    """How a design stands to a promise."""

    promise: str
    design: str
    verdict: Verdict
    counterexample: Counterexample | None = None
    """Null: it is not broken."""


class LeftOut(Struct, frozen=True, kw_only=True):
    """What is lost if a feature of a set is left out."""

    feature: str
    promise: str
    """The name of one that breaks then."""
    counterexample: Counterexample


class FeatureSet(Struct, frozen=True, kw_only=True):
    """A smallest set of features that keeps promises: without any one of them, one breaks."""

    features: tuple[str, ...]
    """As ``axis=value``; none: the barest design keeps them."""
    cost: int
    without: tuple[LeftOut, ...] = ()


class Kept(Struct, frozen=True, kw_only=True):
    """Which features it takes to keep promises."""

    promises: tuple[str, ...]
    """Their names."""
    scopes: tuple[str, ...]
    sets: tuple[FeatureSet, ...]
    """From cheap to costly; none: no design keeps them all."""
    tried: int
    """Points of the axes that were explored or refuted."""
    complete: bool
    """All were."""


class Exploration(Circumstances, frozen=True, kw_only=True):
    """A run of ``nox -s explore``."""

    verdict: Conclusion
    compiled: bool = False
    """The model's modules were compiled."""
    designs: tuple[Design, ...]
    promises: tuple[Promise, ...]
    explored: tuple[Explored, ...]
    judgements: tuple[Judgement, ...]
    """One for each promise and design."""
    kept: Kept | None = None
    """Null: it was not asked for."""
    graphs: dict[str, str] = field(default_factory=dict)
    """The files with graphs (``Graph``), by design, relative to the folder."""


class Edge(Struct, frozen=True, array_like=True):
    """A step between two nodes: a list of four, or of five."""

    source: int
    target: int
    step: int
    """In ``Graph.steps``."""
    outcome: int
    """In ``Graph.outcomes``."""
    broken: tuple[int, ...] = ()
    """The promises that it breaks, in ``Graph.promises``."""


class Node(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A situation."""

    state: State
    broken: tuple[int, ...] = ()
    """The promises that are broken here, in ``Graph.promises``."""


class Move(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What may be done, as in ``Step``."""

    session: int | None = None
    operation: str
    arguments: dict[str, Scalar | dict[str, Scalar]] = {}
    phase: str = ""
    sql: tuple[str, ...] = ()
    """Lines for psql: of the session, or of an administrator, who also lets an operation go on by a later phase."""


class Graph(Struct, frozen=True, kw_only=True):
    """Every situation of a small scope, and every step. Sessions and labels that are alike change places at will."""

    design: str
    axes: dict[str, str]
    phases: bool
    promises: tuple[Promise, ...]
    roles: tuple[Role, ...]
    settings: dict[str, Scalar]
    """Those of the beginning."""
    nodes: tuple[Node, ...]
    """It begins at the first."""
    steps: tuple[Move, ...]
    outcomes: tuple[str, ...]
    edges: tuple[Edge, ...]
    """In the order of their sources."""
    prepare: tuple[str, ...] = ()
    """Lines for psql that a superuser runs first."""
    not_implemented: str = ""
    """Why nothing implements the design; empty: something does. Then the lines are the extension's."""
