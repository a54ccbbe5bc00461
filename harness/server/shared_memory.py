"""How much shared memory a server has taken, as a client and its files tell."""

from harness.server.cluster import Cluster
from harness.server.session import Session


def dynamic_shared_memory(cluster: Cluster) -> int:
    """Bytes of all segments of dynamic shared memory, which the bench's clusters keep as files (mmap)."""
    return sum(path.stat().st_size for path in (cluster.data_dir / "pg_dynshmem").glob("mmap.*"))


def main_shared_memory(session: Session, name: str = "%") -> int:
    """Bytes of the server's main shared memory under names like this one; what is still free has no name."""
    rows = session.execute(
        "SELECT coalesce(sum(allocated_size), 0) FROM pg_shmem_allocations WHERE coalesce(name, '') LIKE %s", (name,)
    )
    return int(rows[0][0])
