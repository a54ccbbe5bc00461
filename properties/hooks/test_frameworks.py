"""Hooks that a framework calls before and after its snapshot: the commands in the examples, as it would call them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from shlex import join, quote

import pytest
import yaml

from harness.building.build import Build
from harness.restore.workload import archive_all
from harness.server import durable
from harness.server.node import give
from properties.hooks.copying import SNAPSHOT, variables
from properties.hooks.restoring import check_restored, restore
from properties.recording.tally import Tally
from properties.support.hooks import EXAMPLES
from properties.support.shell import ShellBesideServer, shell_beside_server

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("only_the_extension")]

ANNOTATION = "{}.hook.backup.velero.io/command"


def scripts(here: ShellBesideServer, moment: str) -> str:
    """Azure's, and NetApp's."""
    return f"{moment}.sh"


def annotations(here: ShellBesideServer, moment: str) -> str:
    """Velero's, with the places of the container in the test's folder."""
    pod = yaml.safe_load((EXAMPLES / "velero.yaml").read_text(encoding="utf-8"))
    command = json.loads(pod["metadata"]["annotations"][ANNOTATION.format(moment)])
    assert command[:2] == ["/bin/sh", "-c"]
    settings = [entry["name"] for entry in pod["spec"]["containers"][0]["env"]]
    assert settings == ["PGDATA", "PGUSER", "PGDATABASE", "SHARED_BACKUP_STATE", "SHARED_BACKUP_TTL"]
    mounts = {mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    used = {f"/{place}" for place in re.findall(r"(?<![\w.])/(\w+)/", f"{command[2]} {pod['spec']}")}
    assert used == {*mounts, "/examples"}, "each place is one that the container has"
    script = command[2].replace("/examples/", f"{EXAMPLES}/").replace("/backup/", quote(f"{here.folder}/"))
    return join([*command[:2], script])


@pytest.mark.parametrize("restarts", [(), ("fast", "immediate")], ids=["no restart", "over restarts"])
@pytest.mark.parametrize("hook", [scripts, annotations], ids=["pre.sh and post.sh", "velero.yaml"])
def test_a_snapshot_between_the_hooks_is_restored(
    instrumented: Build,
    tally: Tally,
    hook: Callable[[ShellBesideServer, str], str],
    restarts: tuple[str, ...],
) -> None:
    """With the files that the second one has put elsewhere; also if a snapshot before it had no second one."""
    with shell_beside_server(instrumented, tally, durable.SETTINGS if restarts else None) as here:
        given, new = variables(here), here.folder / "new" / "data"
        for _ in range(2):
            here.succeed(hook(here, "pre"), **given)
        here.put_program("snapshot", SNAPSHOT)
        for kind in restarts:
            here.work()
            here.restart(kind)
        here.work()
        here.succeed("snapshot", **given)
        here.work()
        here.succeed(hook(here, "post"), **given)
        archive_all(here.server, here.session)
        lay_out(here, new, given)
        restore(here, new)
        check_restored(here, tally, f"by {hook.__name__} of a framework, {len(restarts)} restarts", new)
        tally.steps += 3


def lay_out(here: ShellBesideServer, new: Path, given: dict[str, str]) -> None:
    """As the head of snapshot.sh says; and the tablespace, which is in the snapshot as it is on the server."""
    new.parent.mkdir()
    give(new.parent, here.server.user)
    here.succeed(
        'cp -a "$SNAPSHOT" "$NEW" && cp -a "$FILES/." "$NEW" && mkdir "$NEW.tablespaces" &&'
        ' cp -a "$FOLDER/space" "$NEW.tablespaces/$(sed "s/ .*//" "$NEW/tablespace_map")"',
        **given,
    )
