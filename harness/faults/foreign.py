"""Lives of a server without the extension, between two with it: whatever happens to pages then, nobody watches."""

from collections.abc import Mapping

from harness.server.cluster import Cluster
from harness.server.durable import configured
from harness.server.programs import await_line, server_process

WITHOUT = {"shared_preload_libraries": "", "full_page_writes": "off"}
NOT_DURABLE = {"shared_backup.durable": "off", "full_page_writes": "off"}
PATIENCE = 60.0
DONE = "done so far"


def postmaster_life(server: Cluster, statements: tuple[str, ...], *, durable_off: bool = False) -> None:
    """A server starts without the extension (or with it, durable off), does this, and is killed."""
    with configured(server, NOT_DURABLE if durable_off else WITHOUT):
        server.start()
        session = server.connect()
        for statement in statements:
            session.execute(statement)
        session.close()
        server.crash()


def single_user_life(
    server: Cluster, statements: tuple[str, ...], *, killed: bool, settings: Mapping[str, str] = WITHOUT
) -> None:
    """A server in single-user mode, without the extension, does this, and ends; or is killed in its next statement.

    ``settings``: empty, and it is with the extension. Raises AssertionError if a statement fails.
    """
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with server_process(server, "--single", *options, "-D", server.data_dir, "postgres") as process:
        assert process.stdin is not None
        process.stdin.write("".join(f"{statement}\n" for statement in statements))
        if killed:
            process.stdin.write(f"DO $$ BEGIN RAISE LOG '{DONE}'; PERFORM pg_sleep(600); END $$\n")
            process.stdin.flush()
            said = await_line(process, DONE)
            process.kill()
            process.wait()
        else:
            said = process.communicate(timeout=PATIENCE)[1]
            assert process.returncode == 0, said
        assert "ERROR" not in said, said
