"""Is a change worth a try? What a changed file compiles to: nothing, the same program, or another one.

Mutants that the compiler takes for the same program need nobody to find out that they are equivalent ("trivial
compiler equivalence": M. Papadakis and others, ICSE 2015).
"""

import ast
import builtins
import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.building.build import Flavour, build, make_command, read_sources
from harness.building.compiler import find_tools, make_environment
from harness.machine.postgres import Postgres, SetupError
from harness.machine.project import EXTENSION, ROOT, cache_folder
from harness.machine.scratch import temporary_folder
from harness.server.cluster import open_cluster
from harness.server.session import Session, SqlError
from properties.mutants.tree import apply

NO_LINES = "no_lines.h"
"""Included before all else, so that objects do not say on which line anything stands; a system's header may do so."""
LINELESS = "#pragma GCC system_header\n#undef __LINE__\n#define __LINE__ 0\n"
"""What is in it."""
ONE_PROGRAM = f"-g0 -include {NO_LINES}"
"""Flags for objects that do not say what the text looked like."""
NO_WARNING = "-Werror"
"""What a compiler warns of, a developer sees, and needs no property to find."""
COMPILED = (".c", ".py", ".sql")
"""Endings of files that a program can be made of, each alone."""
CATALOG = """
SELECT pg_get_functiondef(oid) || coalesce(proacl::text, '') FROM pg_proc WHERE proname ~ '^shared_backup'
UNION ALL
SELECT relname || pg_get_viewdef(oid) || coalesce(relacl::text, '') FROM pg_class
WHERE relname ~ '^shared_backup' AND relkind = 'v'
ORDER BY 1
"""


@dataclass
class Check:
    """Compiles C with make, has a server run the script, and parses Python."""

    tree: Path
    """The project as it is."""
    sources: Path
    """The extension's, in a folder where objects may be made."""
    make: list[str]
    """The command, without the object."""
    session: Session
    """On a server without the extension's SQL."""
    originals: dict[str, bytes] = field(default_factory=dict)
    """What the files as they are compile to, as far as somebody has asked."""

    def original(self, file: str) -> bytes:
        """What a file compiles to as it is; raises SetupError if it does not."""
        if file not in self.originals:
            program = self.program(file, (self.tree / file).read_text(encoding="utf-8"))
            if program is None:
                raise SetupError(f"{file} does not compile as it is: mend that before mutants are made of it.")
            self.originals[file] = program
        return self.originals[file]

    def changes_nothing(self, diff: str, files: Sequence[str]) -> bool:
        """Do the files that a diff changes compile to the same programs with it?"""
        if not all(Path(file).suffix in COMPILED for file in files):
            return False
        with temporary_folder() as folder:
            for file in files:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.tree / file, folder / file)
            apply(diff, folder)
            return all(
                self.program(file, (folder / file).read_text(encoding="utf-8")) == self.original(file) for file in files
            )

    def program(self, file: str, text: str) -> bytes | None:
        """What a file of that name compiles to with that text, as a hash; None: it does not compile."""
        match Path(file).suffix:
            case ".c":
                return self.of_c(Path(file), text)
            case ".py":
                return of_python(text)
            case ".sql":
                return self.of_sql(text)
            case other:
                raise ValueError(f"nothing compiles {other} alone")

    def of_c(self, file: Path, text: str) -> bytes | None:
        """The object file."""
        source = self.sources / file.name
        kept = source.read_bytes()
        try:
            source.write_text(text, encoding="utf-8")
            made = source.with_suffix(".o")
            made.unlink(missing_ok=True)
            run = subprocess.run([*self.make, made.name], cwd=self.sources, env=make_environment(), capture_output=True)
            return hashlib.sha256(made.read_bytes()).digest() if run.returncode == 0 else None
        finally:
            source.write_bytes(kept)

    def of_sql(self, text: str) -> bytes | None:
        """What the catalog has when the script has run."""
        script = "\n".join(line for line in text.splitlines() if not line.startswith("\\"))
        self.session.execute("BEGIN")
        try:
            self.session.execute(script.replace("MODULE_PATHNAME", "shared_backup"))
            return hashlib.sha256(repr(self.session.execute(CATALOG)).encode()).digest()
        except SqlError:
            return None
        finally:
            self.session.execute("ROLLBACK")


def of_python(text: str) -> bytes | None:
    """The syntax tree, without what changes nothing that is done: docstrings, annotations, ``pass``.

    A name that is nowhere bound is to Python what a C compiler refuses.
    """
    try:
        tree = ast.parse(text)
        compile(text, "mutant", "exec")
    except (SyntaxError, ValueError):
        return None
    if unbound(tree):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [one for one in node.body if not is_nothing(one)]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return hashlib.sha256(ast.dump(tree).encode()).digest()


def unbound(tree: ast.Module) -> set[str]:
    """The names that are read somewhere, and bound nowhere."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {name.id for name in names if not isinstance(name.ctx, ast.Load)} | set(dir(builtins))
    for node in ast.walk(tree):
        match node:
            case ast.alias(name=name, asname=other):
                bound.add(other or name.partition(".")[0])
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                bound.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
    return {name.id for name in names} - bound - {"__file__", "__name__"}


def is_nothing(statement: ast.stmt) -> bool:
    """Is it a text alone, or ``pass``?"""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


@contextmanager
def checking(postgres: Postgres, tree: Path) -> Iterator[Check]:
    """A check against that PostgreSQL of changes to the project in the folder ``tree``; raises SetupError."""
    built = build(postgres, Flavour.INSTRUMENTED, cache_folder())
    with temporary_folder() as folder, open_cluster(built) as cluster:
        for name, content in read_sources(tree / EXTENSION.relative_to(ROOT)).items():
            (folder / name).write_bytes(content)
        (folder / NO_LINES).write_text(LINELESS, encoding="utf-8")
        session = cluster.connect()
        tools = find_tools(postgres)
        make = make_command(
            postgres, Flavour.INSTRUMENTED, replace(tools, flags=f"{tools.flags} {ONE_PROGRAM} {NO_WARNING}")
        )
        yield Check(tree, folder, [*make, "--silent"], session)
        session.close()
