"""An implementation is data: a TOML file says as much as what is built in, and a wrong one is told what is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.clients.implementation import (
    DURABLE,
    SHARED,
    STOCK,
    Capability,
    find_implementation,
    load,
    without_instruments,
)
from harness.machine.postgres import SetupError
from harness.machine.project import ROOT
from model.design import OnRestart, StopPolicy, Storage

SAMPLE = ROOT / "harness" / "clients" / "shared.toml"
MINIMAL = 'name = "mine"\nstart = "SELECT 1"\nstop = "SELECT 2"\n[design]\n'


def test_the_extension_described_in_toml_is_the_extension() -> None:
    described = load(SAMPLE)
    assert described.view is not None
    assert described == SHARED


def test_an_implementation_is_found_by_name_or_by_file() -> None:
    assert find_implementation("shared") is SHARED
    assert find_implementation("durable") is DURABLE
    assert find_implementation("stock") is STOCK
    assert find_implementation(str(SAMPLE)) == SHARED


def test_a_file_says_what_settings_its_server_starts_with(tmp_path: Path) -> None:
    file = tmp_path / "durable.toml"
    text = SAMPLE.read_text().replace('"shared"', '"durable"')
    file.write_text(text + '[server_settings]\n"shared_backup.durable" = "on"\n')
    assert load(file) == DURABLE


def test_a_design_is_a_named_one_with_differences(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(MINIMAL + 'like = "thread"\nexpiry = true\nsettings = {stop_policy = "owner", max_backups = 4}\n')
    design = load(file).design
    assert (design.name, design.expiry, design.lease) == ("thread", True, False)
    assert (design.settings.stop_policy, design.settings.max_backups) == (StopPolicy.OWNER, 4)
    assert design.settings.result_retention == 0


def test_a_design_in_toml_has_the_choices_that_it_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(MINIMAL + 'on_restart = "resume"\nstorage = "dynamic"\n')
    implementation = load(file)
    assert implementation.durable
    assert implementation.design == replace(SHARED.design, on_restart=OnRestart.RESUME)
    assert implementation.design.storage is Storage.DYNAMIC


def test_only_what_is_named_is_there(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(MINIMAL)
    assert load(file).capabilities == ()
    file.write_text(MINIMAL.replace("[design]", 'capabilities = ["tokens"]\n[design]'))
    assert load(file).capabilities == (Capability.TOKENS,)


def test_users_have_all_but_the_instruments() -> None:
    released = without_instruments(SHARED)
    assert (released.prepare, released.prepare_instruments) == (SHARED.prepare, ())
    assert {*SHARED.capabilities} - {*released.capabilities} == {Capability.INSTRUMENTS}
    assert not released.has_clock


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "is no TOML"),
        ('name = "mine"', 'the field "design" is missing'),
        (MINIMAL.replace("stop", "halt"), 'there is no field "halt"'),
        ("name = 7\n" + MINIMAL.partition("\n")[2], '"name" must be a str'),
        (MINIMAL + 'like = "nothing"\n', 'there is no design "nothing"'),
        (MINIMAL + "colour = 1\n", "the design is wrong"),
        (MINIMAL + 'settings = {stop_policy = "nobody"}\n', "the design is wrong"),
        (MINIMAL + "settings = {limit = 1}\n", "the design is wrong"),
        (MINIMAL + 'on_restart = "resum"\n', "the design is wrong"),
        (MINIMAL + 'expiry = "no"\n', "the design is wrong"),
        (MINIMAL + 'settings = {max_backups = "4"}\n', "the design is wrong"),
        (MINIMAL.replace("[design]", 'prepare = "CREATE"\n[design]'), '"prepare" must be a list'),
        (MINIMAL.replace("[design]", 'capabilities = "tokens"\n[design]'), '"capabilities" must be a list'),
        (MINIMAL.replace("[design]", 'capabilities = ["wings"]\n[design]'), 'there is no capability "wings"'),
    ],
)
def test_a_wrong_file_gets_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(SetupError, match=says) as refused:
        load(file)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_gets_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        load(tmp_path / "absent.toml")
    with pytest.raises(SetupError, match=r"name a \.toml file"):
        find_implementation("shraed")
