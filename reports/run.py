"""What every run says about itself: when, on what machine, against which server, of which commit."""

from dataclasses import dataclass

from reports.reading import Scalar, field, field_or, flag, mapped, named, number, scalar, text


@dataclass(frozen=True)
class Run:
    """The circumstances of a campaign or of a run of the benchmarks."""

    when: str
    """When it began: ISO 8601, UTC."""
    seconds: float
    machine: dict[str, Scalar]
    versions: dict[str, Scalar]
    commit: str | None
    """None: not run from a repository."""
    dirty: bool
    """Files differed from the commit."""
    postgresql: str
    """Its version."""
    bundled: bool
    settings: dict[str, Scalar]
    implementation: str
    design: dict[str, Scalar]

    @property
    def commit_words(self) -> str:
        """The commit, short."""
        if self.commit is None:
            return "no commit"
        return self.commit[:12] + (" with uncommitted changes" if self.dirty else "")

    @property
    def machine_words(self) -> str:
        """The machine in one line."""
        machine = self.machine
        memory = machine.get("memory")
        gibibytes = f"{memory / 2**30:.0f} GiB" if isinstance(memory, int | float) else None
        cores = machine.get("cores")
        parts = [machine.get("cpu"), f"{cores} cores" if cores else None, gibibytes, machine.get("os")]
        return ", ".join(str(part) for part in parts if part)


def read_run(data: object) -> Run:
    """The circumstances, as both results.json and bench.json have them; raises Foreign."""
    git = named(data, "git", scalar)
    commit = git.get("commit")
    return Run(
        when=field(data, "when", text),
        seconds=field(data, "seconds", number),
        machine=field(data, "machine", mapped(scalar)),
        versions=named(data, "versions", scalar),
        commit=None if commit is None else str(commit),
        dirty=bool(git.get("dirty")),
        postgresql=field(data, "postgresql", lambda server: field(server, "version", text)),
        bundled=field(data, "postgresql", lambda server: field_or(server, "bundled", flag, False)),
        settings=field(data, "postgresql", lambda server: named(server, "settings", scalar)),
        implementation=field(data, "implementation", lambda one: field(one, "name", text)),
        design=field(data, "implementation", lambda one: named(one, "design", scalar)),
    )
