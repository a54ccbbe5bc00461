"""Writes the specifications into the extension's folder.

    python -m properties.installcheck [--expected] [--pg-config PATH]

``--expected``: what is expected of them, too, as a server has it; if it is not what the model says, that is told.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence

from harness.building.build import Flavour, build
from harness.machine.postgres import find_postgres
from harness.machine.project import EXTENSION, cache_folder
from harness.machine.scratch import temporary_folder
from harness.running.commandline import exit_status
from harness.server.cluster import open_cluster
from properties.installcheck.agreement import disagreements
from properties.installcheck.catalogue import specs
from properties.installcheck.files import expected_of, file_of
from properties.installcheck.writing import Spec
from properties.mutants.pg_regress import ISOLATION, find_test_programs, regress


def main(arguments: Sequence[str] | None = None) -> int:
    """The program; returns the exit status: 0 if all is well, 1 if not, 2 if it cannot be tried here."""
    parser = argparse.ArgumentParser(prog="python -m properties.installcheck", description=__doc__.partition("\n")[0])
    parser.add_argument("--expected", action="store_true", help="what is expected, too")
    parser.add_argument("--pg-config", metavar="PATH", help="the PostgreSQL that says what is expected")
    chosen = parser.parse_args(arguments)
    every = list(specs())
    for spec in every:
        file_of(spec).write_text(spec.text(), encoding="utf-8")
    return exit_status(lambda: expect(every, chosen.pg_config)) if chosen.expected else 0


def expect(every: Sequence[Spec], pg_config: str | None) -> int:
    """Writes what is expected; raises SetupError."""
    postgres = find_postgres(*[pg_config] * (pg_config is not None))
    program = find_test_programs(postgres) / ISOLATION
    built = build(postgres, Flavour.RELEASE, cache_folder(), sources=EXTENSION)
    flaws = []
    with open_cluster(built) as cluster, temporary_folder() as out:
        for spec in every:
            expected_of(spec).touch()
        regress(program, EXTENSION, [spec.name for spec in every], cluster, out)
        for spec in every:
            result = out / "results" / f"{spec.name}.out"
            shutil.copyfile(result, expected_of(spec))
            flaws += [f"{spec.name}: {flaw}" for flaw in disagreements(spec, result.read_text(encoding="utf-8"))]
    print("\n".join(flaws) or "What is expected is what the model says.")
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
