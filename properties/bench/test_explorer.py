"""What is clicked in the explorer is what the model says, in a real browser; a cross leads to its counterexample."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from harness.schema.exploration import Edge, Exploration, Graph, State
from properties.bench.browser import headless, looked_at
from properties.bench.made_explorations import WITH_GRAPHS, made_folder
from reports.__main__ import main
from reports.designs.matrix import anchor
from reports.designs.page import EXPLORER
from reports.report import PAGE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WALKS, LONGEST = 3, 12
NAMES = [design.name for design in WITH_GRAPHS]
PHONE = 390


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exploration with its report."""
    made = made_folder(tmp_path_factory.mktemp("explorer") / "made")
    assert main([str(made)]) == 0
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with headless() as found:
        yield found


def graph_of(folder: Path, name: str) -> Graph:
    return msgspec.json.decode((folder / f"graph-{name}.json").read_bytes(), type=Graph)


def address(folder: Path, name: str, choices: list[int]) -> str:
    way = "/" + ".".join(map(str, choices)) if choices else ""
    return f"{(folder / EXPLORER).as_uri()}#{name}{way}"


def leaving(graph: Graph, node: int) -> list[Edge]:
    return [edge for edge in graph.edges if edge.source == node]


def some_walk(graph: Graph, chance: random.Random) -> list[tuple[int, Edge]]:
    """Choices and where they lead; those that change something are made more often."""
    node, way = 0, []
    for _ in range(LONGEST):
        every = list(enumerate(leaving(graph, node)))
        moving = [one for one in every if one[1].target != node]
        way.append(chance.choice(moving if moving and chance.random() < 0.8 else every))
        node = way[-1][1].target
    return way


def shown(page: "Page") -> tuple[str, dict[str, str], list[str], set[str]]:
    """What the page says there is: core's count, labels with their states, sessions, broken promises."""
    labels = {
        one.get_attribute("data-label") or "": one.inner_text() for one in page.query_selector_all("[data-label]")
    }
    sessions = [one.inner_text() for one in page.query_selector_all("[data-session]")]
    broken = {one.get_attribute("data-promise") or "" for one in page.query_selector_all("#broken [data-promise]")}
    return page.inner_text("[data-core]"), labels, sessions, broken


def said(graph: Graph, state: State, broken: set[int]) -> tuple[str, dict[str, str], list[str], set[str]]:
    """The same, as the model says."""
    sessions = []
    for one in state.sessions:
        words = ["not connected" if one.role is None else one.role]
        words += [f"holds core's backup {one.stock}"] if one.stock else []
        words += [f"amid {one.amid.lower()} {one.on}, next: {one.next_phase}"] if one.amid else []
        sessions.append("; ".join(words))
    labels = {one.label: one.state for one in state.backups}
    return str(state.core), labels, sessions, {graph.promises[number].name for number in broken}


def click(page: "Page", choice: int) -> None:
    """Takes a step, also one that is refused."""
    button = page.locator(f'[data-choice="{choice}"]')
    if not button.is_visible():
        page.locator("details.refused").filter(has=button).locator("summary").click()
    button.click()


def at_step(page: "Page", number: int) -> None:
    """Waits until so many steps are shown."""
    page.wait_for_function("number => document.querySelectorAll('#path > li').length === number", arg=number)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_clicked_is_what_the_model_says(name: str, folder: Path, browser: "Browser") -> None:
    graph, chance = graph_of(folder, name), random.Random(name)
    for _ in range(WALKS):
        with looked_at(browser, address(folder, name, [])) as page:
            at_step(page, 0)
            page.wait_for_selector("#walk:not([hidden])")
            for number, (choice, edge) in enumerate(some_walk(graph, chance), start=1):
                click(page, choice)
                at_step(page, number)
                node = graph.nodes[edge.target]
                assert shown(page) == said(graph, node.state, {*node.broken, *edge.broken})


@pytest.mark.parametrize("name", NAMES)
def test_every_step_of_the_model_is_offered_and_no_other(name: str, folder: Path, browser: "Browser") -> None:
    graph, chance = graph_of(folder, name), random.Random(name)
    way = some_walk(graph, chance)
    with looked_at(browser, address(folder, name, [choice for choice, _ in way])) as page:
        at_step(page, len(way))
        offered = {int(one.get_attribute("data-choice") or -1) for one in page.query_selector_all("[data-choice]")}
    assert offered == set(range(len(leaving(graph, way[-1][1].target))))


def test_a_shared_link_shows_the_same_way(folder: Path, browser: "Browser") -> None:
    graph = graph_of(folder, "thread")
    way = some_walk(graph, random.Random(1))
    with looked_at(browser, address(folder, "thread", [])) as page:
        page.wait_for_selector("#walk:not([hidden])")
        for number, (choice, _) in enumerate(way, start=1):
            click(page, choice)
            at_step(page, number)
        page.click("#link")
        link, path, there = page.evaluate("navigator.clipboard.readText()"), page.inner_text("#path"), shown(page)
    with looked_at(browser, link) as other:
        at_step(other, len(way))
        assert (other.inner_text("#path"), shown(other)) == (path, there)


def test_one_goes_back_by_a_step_and_to_any_step(folder: Path, browser: "Browser") -> None:
    graph = graph_of(folder, "thread")
    way = some_walk(graph, random.Random(2))
    with looked_at(browser, address(folder, "thread", [choice for choice, _ in way])) as page:
        for back, number in (("#back", len(way) - 1), ("#path li:nth-child(3) button", 3), ("#again", 0)):
            at_step(page, len(way))
            page.click(back)
            at_step(page, number)
            node = graph.nodes[way[number - 1][1].target if number else 0]
            broken = {*node.broken, *(way[number - 1][1].broken if number else ())}
            assert shown(page) == said(graph, node.state, broken)
            page.go_back()


def test_a_link_that_leads_nowhere_is_followed_as_far_as_it_goes(folder: Path, browser: "Browser") -> None:
    with looked_at(browser, address(folder, "stock", [1, 999, 2])) as page:
        at_step(page, 1)
        assert "2 steps that are not in this graph" in page.inner_text("#complaint")
    with looked_at(browser, address(folder, "nothing", [])) as page:
        page.wait_for_selector("#complaint:not([hidden])")
        assert "no design nothing" in page.inner_text("#complaint")


@pytest.mark.parametrize("name", NAMES)
def test_the_shortest_way_to_break_a_promise_breaks_it(name: str, folder: Path, browser: "Browser") -> None:
    graph = graph_of(folder, name)
    with looked_at(browser, address(folder, name, [])) as page:
        page.wait_for_selector("#walk:not([hidden])")
        numbers = page.eval_on_selector_all(
            "#promise option", "options => options.map(one => one.value).filter(Boolean)"
        )
        assert numbers
        for number in map(int, numbers):
            page.goto(address(folder, name, []))
            at_step(page, 0)
            page.select_option("#promise", str(number))
            page.wait_for_selector(f'#broken [data-promise="{graph.promises[number].name}"]')
            assert len(page.query_selector_all("#path > li")) == distance(graph, number)


def distance(graph: Graph, promise: int) -> int:
    """How many steps it takes to break a promise, found otherwise: all nodes of each distance at once."""
    there = {0}
    for steps in range(1, len(graph.nodes) + 1):
        taken = [edge for edge in graph.edges if edge.source in there]
        if any(promise in (*edge.broken, *graph.nodes[edge.target].broken) for edge in taken):
            return steps
        there |= {edge.target for edge in taken}
    raise AssertionError("it is broken nowhere")


def test_the_way_can_be_copied_as_sql(folder: Path, browser: "Browser") -> None:
    graph = graph_of(folder, "thread")
    way = some_walk(graph, random.Random(3))
    with looked_at(browser, address(folder, "thread", [choice for choice, _ in way])) as page:
        at_step(page, len(way))
        page.click("#copy")
        page.wait_for_function("document.querySelector('#copy').textContent === 'Copied'")
        copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    position = 0
    for line in (*graph.prepare, *(line for _, edge in way for line in graph.steps[edge.step].sql)):
        position = copied.index(line, position) + 1


@pytest.mark.parametrize("width", [1200, PHONE])
def test_each_cross_of_the_matrix_leads_to_its_counterexample(width: int, folder: Path, browser: "Browser") -> None:
    results = msgspec.json.decode((folder / "exploration.json").read_bytes(), type=Exploration)
    broken = [one for one in results.judgements if one.counterexample]
    assert broken
    with looked_at(browser, (folder / PAGE).as_uri(), width) as page:
        assert page.locator("table.matrix a").count() == len(broken)
        for one in broken:
            place = anchor(one.design, one.promise)
            assert not page.locator(f'[id="{place}"]').is_visible()
            page.click(f'table.matrix a[href="#{place}"]')
            page.wait_for_selector(f'[id="{place}"] svg.sequence')
            assert page.locator("summary:focus strong").inner_text() == one.design


@pytest.mark.parametrize("name", [PAGE, EXPLORER])
def test_on_a_phone_nothing_sticks_out(name: str, folder: Path, browser: "Browser") -> None:
    with looked_at(browser, (folder / name).as_uri(), PHONE) as page:
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


def test_a_way_can_be_gone_by_keyboard(folder: Path, browser: "Browser") -> None:
    with looked_at(browser, address(folder, "stock", [])) as page:
        page.wait_for_selector("#walk:not([hidden])")
        page.locator("#steps button").first.focus()
        page.keyboard.press("Enter")
        at_step(page, 1)
        assert page.evaluate("document.activeElement.id") == "now"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('#steps') !== null")
