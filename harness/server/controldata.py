"""What a control file says, read by PostgreSQL's own pg_controldata."""

from harness.machine.scratch import temporary_folder
from harness.server.cluster import Cluster, ClusterError
from harness.server.node import give_all
from harness.server.programs import run_program

CONTROL_FILE = "global/pg_control"
"""Within the data directory."""

CHECKSUMS = "Data page checksum version"
CHECKPOINT = "Latest checkpoint location"
REDO_SEGMENT = "Latest checkpoint's REDO WAL file"
NONCE = "Mock authentication nonce"


def control_data(cluster: Cluster, contents: bytes | None = None) -> dict[str, str]:
    """The lines of pg_controldata about a control file (None: the one that the cluster has now), by their names.

    Raises ClusterError if it cannot be read, or its checksum is wrong.
    """
    if contents is None:
        contents = (cluster.data_dir / CONTROL_FILE).read_bytes()
    with temporary_folder() as folder:
        file = folder / CONTROL_FILE
        file.parent.mkdir()
        file.write_bytes(contents)
        give_all(folder, cluster.user)
        said = run_program(cluster, "pg_controldata", "-D", folder)
    if said.returncode != 0 or "WARNING" in said.stdout + said.stderr or "warning" in said.stderr:
        raise ClusterError(f"the control file is no good: {said.stdout}{said.stderr}")
    lines = (line.partition(":") for line in said.stdout.splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def has_checksums(cluster: Cluster, contents: bytes | None = None) -> bool:
    """Does a control file (None: the one that the cluster has now) say that pages have checksums?"""
    return control_data(cluster, contents)[CHECKSUMS] != "0"
