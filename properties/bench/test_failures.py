"""What a failure leaves: the ends of its servers' logs, and what makes Hypothesis try the same again."""

import re
from pathlib import Path

import pytest

from harness.building.build import Build
from harness.machine.postgres import Postgres
from harness.server.logs import KEPT, LINES, Log, mark, tails
from properties.bench.made_campaigns import Ended, campaign

SERVERS = """
from harness.server.cluster import open_cluster, open_standby

def say(cluster, words):
    session = cluster.connect()
    session.execute(f"DO $$ BEGIN RAISE LOG '{words}'; END $$")
    session.close()

def test_what_holds_is_no_part_of_what_fails_later(cluster):
    say(cluster, "nobody asked")

def test_servers_are_gone_when_it_fails(cluster, instrumented):
    say(cluster, "said by a shared one")
    with open_cluster(instrumented) as own, open_standby(own) as standby:
        say(own, "said by one of its own")
        say(standby, "said by a standby")
    assert False, "planted"

def test_a_server_does_not_start(instrumented):
    with open_cluster(instrumented, settings={"max_connections": "none"}):
        pass

def test_another_holds(cluster):
    say(cluster, "nobody asked")
"""

SEARCHES = """
from hypothesis import HealthCheck, assume, given, reproduce_failure, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from harness.clients.client import Violation
from properties.support.profiles import UNSHRUNK

@settings(phases=UNSHRUNK)
@given(number=st.integers())
def test_every_number_is_small(number):
    assert number < 1000, f"found {number}"

def test_a_machine_stands_still():
    class Machine(RuleBasedStateMachine):
        steps = 0
        @rule()
        def step(self):
            self.steps += 1
            if self.steps > 3:
                raise Violation("it moves\\n\\nTo see it by hand:\\n" + "SELECT 1;\\n" * 1000)
    run_state_machine_as_test(Machine)

def test_two_things_are_found():
    @given(number=st.sampled_from([0, 5000, -5000]))  # none of which is missed
    def check(number):
        assert number < 1000
        assert number > -1000
    check()

def test_nothing_is_looked_at():
    @settings(suppress_health_check=[])
    @given(number=st.integers())
    def check(number):
        assume(False)
    check()
"""


def text_of(run: Ended, sentence: str) -> str:
    """The file of a failure."""
    return Path(run.results, "latest", run.one(sentence)["failure"]).read_text()


@pytest.mark.server
def test_a_failure_shows_the_ends_of_its_servers_logs(tmp_path: Path, postgres: Postgres, instrumented: Build) -> None:
    run = campaign(tmp_path, f"--pg-config={postgres.pg_config}", test_servers=SERVERS)
    text = text_of(run, "servers are gone when it fails")
    said = [words for words in text.splitlines() if "LOG:  said by" in words]
    assert {words.partition("said by ")[2] for words in said} == {
        "a shared one",
        "one of its own",
        "a standby",
    }
    assert re.search(r"^----- The end of the log of server standby\d+ -----$", text, re.MULTILINE)
    assert "nobody asked" not in text
    assert 'invalid value for parameter "max_connections"' in text_of(run, "a server does not start")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return campaign(tmp_path_factory.mktemp("searched"), test_searches=SEARCHES)


@pytest.mark.parametrize(
    ("sentence", "decorator", "number"),
    [
        ("every number is small", "@reproduce_failure(", 1),
        ("a machine stands still", "@reproduce_failure(", 1),
        ("two things are found", "@reproduce_failure(", 2),
        ("nothing is looked at", "@seed(", 1),
    ],
)
def test_a_failure_says_how_to_try_the_same_again(searched: Ended, sentence: str, decorator: str, number: int) -> None:
    told = searched.one(sentence)["same_again"]
    assert [one.startswith(decorator) for one in told] == [True] * number
    essential = text_of(searched, sentence).partition("===== All that pytest says =====")[0]
    for one in told:
        assert f"To try the same again: {one}\n" in essential
        assert f"The same:      {one}\n" in searched.output


def test_the_same_is_tried_again(tmp_path: Path, searched: Ended) -> None:
    found = searched.one("every number is small")
    decorated = SEARCHES.replace("@given", f"{found['same_again'][0]}\n@given", 1)
    again = campaign(tmp_path, "-k", "number", test_searches=decorated)
    numbers = [re.findall(r"found \d+", one["reason"]) for one in (found, again.one("every number is small"))]
    assert numbers[0] == numbers[1] != []


def log(folder: Path, name: str, *lines: str) -> Log:
    """A server's log, with some lines in it."""
    one = Log(name, folder / name)
    one.file.write_text("".join(f"{line}\n" for line in lines))
    return one


def test_of_logs_the_last_lines_are_told_once(tmp_path: Path) -> None:
    mark()
    one, silent = log(tmp_path, "one", "first", *["more"] * LINES), log(tmp_path, "silent")
    assert tails() == [("one", "\n".join(["more"] * LINES))]
    with one.file.open("a") as file:
        file.write("last\n")
    one.close()
    silent.close()
    assert tails() == [("one", "last")]
    assert tails() == []


def test_of_many_that_are_gone_the_last_are_told(tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        log(tmp_path, f"{number}", "words").close()
    assert [name for name, _ in tails()] == [f"{number}" for number in range(3, KEPT + 3)]
