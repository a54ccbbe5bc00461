"""How much is measured: the quick set, and all of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How many pairs a benchmark takes: what fits into its time, within bounds."""

    seconds: float
    fewest: int
    most: int

    def rounds(self, seconds_per_round: float) -> int:
        """The number of rounds, given what one takes."""
        return max(self.fewest, min(self.most, int(self.seconds / seconds_per_round)))


@dataclass(frozen=True)
class Scale:
    """The parameters of a set of benchmarks."""

    mode: str
    main_pace: Pace
    """Of the latency of starts and stops, which all else is about."""
    pace: Pace
    """Of everything else."""
    open_backups: tuple[int, ...]
    """Levels of open backups at which latency is measured."""
    callers: tuple[int, ...]
    """How many sessions start a backup at once."""
    tablespaces: tuple[int, ...]
    expiring: int
    """Backups that expire at once."""
    expiring_under_load: int
    """Backups that expire at once while somebody else starts, renews and stops backups."""
    expiries_under_load: int
    """How often they do so."""
    operations: tuple[int, ...]
    """Lengths of concurrent histories."""

    @property
    def most_open(self) -> int:
        """The highest level of open backups."""
        return max(self.open_backups)


QUICK = Scale(
    mode="quick",
    main_pace=Pace(seconds=15, fewest=50, most=400),
    pace=Pace(seconds=5, fewest=10, most=200),
    open_backups=(0, 100, 10_000),
    callers=(1, 4, 16, 64),
    tablespaces=(0, 10, 100),
    expiring=10_000,
    expiring_under_load=2_000,
    expiries_under_load=3,
    operations=(100, 1_000),
)
FULL = Scale(
    mode="full",
    main_pace=Pace(seconds=60, fewest=100, most=2_000),
    pace=Pace(seconds=20, fewest=30, most=1_000),
    open_backups=(0, 1, 10, 100, 1_000, 10_000),
    callers=(1, 2, 4, 8, 16, 32, 64),
    tablespaces=(0, 10, 100, 1_000),
    expiring=10_000,
    expiring_under_load=10_000,
    expiries_under_load=5,
    operations=(100, 1_000, 10_000),
)
