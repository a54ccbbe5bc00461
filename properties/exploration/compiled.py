"""The model's hot modules, compiled unchanged by mypyc; kept in the cache by all that went into it."""

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.machine.postgres import SetupError
from harness.machine.project import ROOT, cache_folder

MODEL = "model"
COMPILER = "mypy"
"""The distribution that mypyc comes with."""
HOT = ("state", "transition", "steps", "normal", "symmetry", "menu", "explore", "promises/[!_]*")
"""Their names, with wildcards. The others are small, or are what mypyc has no use for."""
PROGRAM = """
import sys
from setuptools import setup
from mypyc.build import mypycify
files = sys.argv[1:]
sys.argv[1:] = ["--quiet", "build_ext", "--inplace"]
setup(name="model", packages=[], ext_modules=mypycify(["--ignore-missing-imports", *files], opt_level="3"))
"""


def compiled_model() -> Path:
    """The folder of a compiled model, which is built if need be; raises SetupError."""
    folder = cache_folder() / "compiled-model" / key()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh, (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other workers of this machine wait for it, and find what is built
        if not folder.is_dir():
            build(Path(fresh))
            os.rename(fresh, folder)
            Path(fresh).mkdir()  # to be removed
    return folder


def key() -> str:
    """Of all that goes into it: the sources, Python, mypyc; raises SetupError."""
    try:
        compiler = importlib.metadata.version(COMPILER)
    except importlib.metadata.PackageNotFoundError:
        raise SetupError("There is no mypyc to compile the model with: pip install 'mypy[mypyc]'.") from None
    parts = hashlib.sha256(f"{sys.version} {compiler} {HOT} {PROGRAM}".encode())
    for source in sorted((ROOT / MODEL).rglob("*.py")):
        parts.update(source.read_bytes())
    return parts.hexdigest()[:16]


def build(folder: Path) -> None:
    """Compiles the model in the folder; raises SetupError."""
    shutil.copytree(ROOT / MODEL, folder / MODEL, ignore=shutil.ignore_patterns("__pycache__"))
    files = [str(file.relative_to(folder)) for name in HOT for file in sorted((folder / MODEL).glob(f"{name}.py"))]
    built = subprocess.run([sys.executable, "-c", PROGRAM, *files], cwd=folder, capture_output=True, text=True)
    if built.returncode != 0:
        said = [line for line in f"{built.stdout}\n{built.stderr}".splitlines() if line.strip()]
        raise SetupError(
            f"The model cannot be compiled ({said[-1] if said else 'no reason given'}): install gcc and "
            "'mypy[mypyc]', or leave out --compiled."
        )
    shutil.rmtree(folder / "build", ignore_errors=True)
