"""The sample of a cluster calls what there is, and its parts find each other."""

import ast
import re
from typing import Any

import pytest
import yaml

from harness.machine.project import ROOT
from properties.campaign.options import parser

FOLDER = ROOT / "harness" / "running" / "cluster"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
COMMANDS = {name: service["command"] for name, service in SERVICES.items() if "command" in service}


def sessions() -> set[str]:
    """Of the noxfile."""
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    return {one.name for one in tree.body if isinstance(one, ast.FunctionDef) and one.decorator_list}


@pytest.mark.parametrize("service", COMMANDS)
def test_each_service_is_a_session_of_nox(service: str) -> None:
    session, separator, *_options = COMMANDS[service]
    assert session in sessions()
    assert separator == "--"


def test_the_image_has_what_the_services_need() -> None:
    installed = re.findall(r"nox --install-only -s (.*)", (FOLDER / "Dockerfile").read_text())[0].split()
    assert {command[0] for command in COMMANDS.values()} == set(installed) <= sessions()


def test_the_services_find_each_other() -> None:
    listens = dict(zip(COMMANDS["scheduler"][2::2], COMMANDS["scheduler"][3::2], strict=True))
    address = f"tcp://scheduler:{listens['--port']}"
    chosen = parser().parse_args(COMMANDS["campaign"][2:])
    assert COMMANDS["worker"][2:] == [address] == [chosen.scheduler]
    assert chosen.examples.removeprefix("redis://").partition(":")[0] in SERVICES
    assert chosen.profile == "nightly"
