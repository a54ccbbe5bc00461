"""Running the programs that come with the server, from the installation in hand."""

import subprocess
from pathlib import Path

from harness.machine.postgres import identity
from harness.server.cluster import Cluster


def run_program(cluster: Cluster, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; its output is kept, and its exit status is for the caller to judge."""
    return subprocess.run(
        command(cluster, name, *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        env=cluster.build.postgres.environment(),
        **identity(cluster.user),
    )


def start_program(cluster: Cluster, name: str, *arguments: str | Path) -> subprocess.Popen[str]:
    """Starts a program as the server's user; what it writes to stderr can be read."""
    return subprocess.Popen(
        command(cluster, name, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env=cluster.build.postgres.environment(),
        **identity(cluster.user),
    )


def command(cluster: Cluster, name: str, *arguments: str | Path) -> list[str | Path]:
    """The command line of a program."""
    return [cluster.build.postgres.binary(name), *arguments]


def address(cluster: Cluster) -> list[str]:
    """Options that lead a client program to the server, as a superuser."""
    parameters = cluster.parameters()
    return ["-h", parameters["host"], "-p", str(parameters["port"]), "-U", parameters["user"]]
