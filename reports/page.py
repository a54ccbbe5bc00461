"""The page: one HTML file with everything in it, which needs no network and no scripts."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.schema.campaign import Answer, Campaign
from harness.schema.mutants import Mutants, Outcome
from harness.schema.run import Circumstances, Run
from harness.schema.simulation import Simulation
from reports import words
from reports.at_once import all_faults, all_histories, all_orders, faults, orders
from reports.bench import limits_of, ratios_of, verdicts_of
from reports.bench import skipped as not_measured
from reports.c_coverage import gaps
from reports.campaign import (
    anchor,
    bad,
    ends_of,
    groups,
    histories_of,
    injections_of,
    interleavings_of,
    restores_of,
    skipped,
    told,
)
from reports.compare import Changes
from reports.figures.memory import EACH, SERVERS, memory_of
from reports.figures.picture import Picture
from reports.folder import Results
from reports.history import History, is_fault, milliseconds, words_of
from reports.mutant_pairs import Pairs, which
from reports.mutants import ALIVE, TRIED_WITH, areas, everything, killers, left, mutants_of, origins
from reports.restores import OUTCOMES, scenarios, together
from reports.sharing import curve
from reports.simulation import EVENTS, LINES, base, causes, partial
from reports.survival import DESIGNS, kinds, parts, reasons

TEMPLATES = Path(__file__).parent / "templates"


def page(
    results: Results,
    checks: Iterable[Picture],
    crowds: Iterable[Picture],
    restored: Iterable[Picture],
    survived: Iterable[Picture],
    measurements: Iterable[Picture],
    planted: Iterable[Picture],
    simulated: Iterable[Picture],
    shared: Iterable[Picture],
) -> str:
    """The report of a results folder."""
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            campaign=results.campaign,
            bench=results.bench,
            runs=runs_of(results),
            described=described(results),
            told=told(results.campaign) if results.campaign else "",
            bad=bad(results.campaign),
            not_checked=skipped(results.campaign),
            groups=list(groups(results.campaign)),
            checks=list(checks),
            crowds=list(crowds),
            **at_once(results.campaign),
            **survival(results.campaign),
            all_restores=together(restores_of(results.campaign)),
            scenarios=scenarios(restores_of(results.campaign)),
            outcomes=OUTCOMES,
            restored=list(restored),
            survived=list(survived),
            ratios=ratios_of(results.bench),
            limits=limits_of(results.bench),
            target_verdicts=verdicts_of(results.bench),
            not_measured=not_measured(results.bench),
            measurements=list(measurements),
            planted=list(planted),
            **planted_bugs(results.mutants),
            simulated=list(simulated),
            shared=list(shared),
            curve=curve(results.campaign),
            **simulation(results.simulation),
            fleet=list(fleet_of(results)),
        )
    )


def at_once(campaign: Campaign | None) -> dict[str, Any]:
    """What the section about operations at once shows."""
    injections, interleavings, linearized = injections_of(campaign), interleavings_of(campaign), histories_of(campaign)
    return {
        "faults": faults(injections),
        "all_faults": all_faults(injections),
        "orders": orders(interleavings),
        "all_orders": all_orders(interleavings),
        "order_limits": sorted({one.limit for one in interleavings}),
        "label_counts": sorted({one.labels for one in interleavings}),
        "linearized": linearized,
        "all_linearized": all_histories([history for one in linearized for history in one.found]),
        "answers": list(Answer),
    }


def planted_bugs(run: Mutants | None) -> dict[str, Any]:
    """What the section about mutants shows."""
    found = mutants_of(run)
    return {
        "mutants": run,
        "all_mutants": everything(found),
        "mutant_origins": origins(found),
        "mutant_areas": areas(found),
        "killers": killers(found),
        "alive": left(found, *ALIVE),
        "not_tried": left(found, Outcome.BROKEN, Outcome.STALE, Outcome.NOT_RUN),
        "equivalent": left(found, Outcome.EQUIVALENT),
        "suite": TRIED_WITH[run.suite] if run else "",
    }


def simulation(run: Simulation | None) -> dict[str, Any]:
    """What the section about a fleet shows."""
    point = base(run) if run else None
    return {
        "simulation": run,
        "bill": point,
        "bill_lines": LINES,
        "bill_causes": causes(point.bills) if point else [],
        "partial": partial(run) if run else [],
        "fate_events": EVENTS,
    }


def survival(campaign: Campaign | None) -> dict[str, Any]:
    """What the part about restarts shows."""
    ends = ends_of(campaign)
    return {
        "parts": [(part, kinds(part.rows)) for part in parts(ends)],
        "reasons": reasons(ends),
        "designs": DESIGNS,
    }


def comparison_page(
    before: Results, after: Results, changes: Changes, pictures: Iterable[Picture], mutants: Iterable[Picture]
) -> str:
    """The report of a comparison."""
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            before=before,
            after=after,
            changes=changes,
            pictures=list(pictures),
            mutants=list(mutants),
            sides=sides(before, after, changes.mutants),
        )
    )


def environment() -> Environment:
    """Templates that escape what they show, and break down rather than show nothing."""
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals |= {
        "words": words,
        "is_fault": is_fault,
        "milliseconds": milliseconds,
        "words_of": words_of,
        "gaps": gaps,
        "anchor": anchor,
    }
    found.filters |= {"data_uri": data_uri, "text_uri": text_uri, "offset": offset}
    return found


def text_uri(text: str) -> str:
    """A file inside the page, to be saved."""
    return f"data:text/plain;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"


def data_uri(one: Picture) -> str:
    """A figure inside the page; as an image, so that the figures' identifiers cannot meet."""
    return f"data:image/svg+xml;base64,{base64.b64encode(one.svg).decode()}"


def offset(history: History, moment: float) -> float:
    """Milliseconds since a history began."""
    return (moment - min(event.invoked for event in history.events)) * 1000


def runs_of(results: Results) -> list[tuple[str, Run]]:
    """What ran, and under which circumstances."""
    found: list[tuple[str, Run]] = []
    if results.campaign:
        found.append((f"Campaign, profile {results.campaign.profile}", results.campaign))
    if results.bench:
        found.append((f"Benchmarks, {results.bench.mode} set", results.bench))
    if results.mutants:
        found.append((f"Mutants tried with the {TRIED_WITH[results.mutants.suite]}", results.mutants))
    return found


def described(results: Results) -> list[tuple[str, Circumstances]]:
    """Everything that ran, with a server or without one."""
    found: list[tuple[str, Circumstances]] = [*runs_of(results)]
    if results.simulation:
        found.append(("Simulation of a fleet", results.simulation))
    return found


def sides(before: Results, after: Results, pairs: Pairs | None) -> list[tuple[str, Results, list[tuple[str, Run]]]]:
    """Both folders with what they are called, and their runs."""
    first, second = which(pairs)
    return [(first, before, runs_of(before)), (second, after, runs_of(after))]


def fleet_of(results: Results) -> Iterable[dict[str, Any]]:
    """The rows of the table of fleets."""
    found = memory_of(results.bench) if results.bench else None
    if found is None:
        return
    _, cost = found
    for each in EACH[:3]:
        for servers in SERVERS[2:]:
            yield {
                "servers": servers,
                "each": each,
                "sessions": servers * each,
                "stock": cost.fleet_stock(servers, each),
                "shared": cost.fleet_shared(servers, each),
            }
