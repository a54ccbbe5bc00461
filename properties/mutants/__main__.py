"""How good are the properties? Plants one bug after the other, and sees which property finds it, and how fast.

    nox -s mutants -- [--profile gate|nightly] [-k WORDS] [--since REV] [--all] [--workers N] [--budget SECONDS] [-l]
    nox -s mutants -- --examples ...      the tests that the extension has itself in place of the properties

Exit status: 0 all mutants were killed, but for equivalent ones; 1 some were not, or could not be tried; 2 the bench
could not be set up, and one sentence says why; 130 interrupted. What is in the results folder is described in
``properties.mutants.results``.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from harness.machine.postgres import Postgres, SetupError, find_postgres
from harness.machine.processes import orderly_end
from harness.machine.project import ROOT
from harness.running.commandline import INTERRUPTED, begin, exit_status
from harness.running.reporting import report
from harness.running.results import RESULTS, Run, circumstances, remove_folder
from harness.running.terminal import clock, nearer, own_console
from harness.schema.mutants import Mutant as Record
from harness.schema.mutants import Mutants, Outcome, Suite, Verdict
from properties.mutants.attempt import Plan
from properties.mutants.baseline import ABSENT, Baseline, baseline
from properties.mutants.catalogue import HERE, KILLERS, Catalogue, Mutant, read_catalogue
from properties.mutants.example_suite import EXAMPLES, all_examples
from properties.mutants.generator import generated, is_generated
from properties.mutants.matrix import ended_line, show_end
from properties.mutants.order import plans
from properties.mutants.results import RESULTS_FILE, disproved, equivalent, results_of, write_results
from properties.mutants.rounds import try_all, try_once
from properties.mutants.selection import Selection, select, within
from properties.mutants.soundness import checking
from properties.mutants.trials import PROGRAMS, HungError, OutOfTimeError, Trials, copied_tree
from properties.support.profiles import SILENCE
from properties.support.servers import server_settings

PROPERTIES = "properties"
CLEARING_UP = 120.0
"""Seconds for a property to be seen to hang by itself, and its servers to be ended, before the attempt is said to."""
LONGEST_EXAMPLE = 5 * 60.0
"""Seconds: what its own limits do not end by then, hangs."""
ALL_KILLED = 0
STATUS = {Verdict.ALL_KILLED: ALL_KILLED, Verdict.NOT_ALL_KILLED: 1, Verdict.INTERRUPTED: INTERRUPTED}
"""Exit statuses."""
NIGHTLY = 400  # mutants that no one chose
NO_BOUND = float("inf")


def main(arguments: Sequence[str] | None = None, room: Path = HERE, tests: str = PROPERTIES) -> int:
    """Tries the mutants in the folder ``room`` on the properties in the folder ``tests``; returns the exit status."""
    chosen = parser().parse_args(arguments)
    return exit_status(lambda: run(chosen, room, tests))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="nox -s mutants --", description="Plants bugs, and sees which property finds each, and how fast."
    )
    add = result.add_argument
    result.set_defaults(implementation="shared")
    add("-l", "--list", action="store_true", help="only list the mutants that would be tried")
    add("-k", metavar="WORDS", dest="selection", help="those with one of these words in their names or sentences")
    add("--since", metavar="REV", help="those in what has changed since this commit (default: where the branch began)")
    add(
        "--all",
        action="store_true",
        help="whatever has changed; so it is with -k and in nightly, unless --since is given",
    )
    add(
        "--most",
        metavar="N",
        type=positive,
        help="so many of these at most, drawn (default: 30 for a change, else all)",
    )
    add(
        "--examples",
        dest="suite",
        action="store_const",
        const=Suite.EXAMPLES,
        default=Suite.PROPERTIES,
        help="try the tests that the extension has itself, as PostgreSQL has them, in place of the properties",
    )
    add(
        "--generated", metavar="N", type=count, help="and about so many that no one chose (default: 0; in nightly, 400)"
    )
    add("--seed", metavar="N", type=count, default=0, help="which of those: another number draws others (default: 0)")
    add("--profile", choices=("gate", "nightly"), default="gate", help="how long each property looks (default: gate)")
    add("--pg-config", metavar="PATH", help="the PostgreSQL to run (default: $PG_CONFIG, else the bundled one)")
    add("--workers", metavar="N", type=positive, default=1, help="so many at once, each with servers of its own")
    add("--budget", metavar="SECONDS", type=positive, help="for all of them; what is left then is not run")
    add(
        "--silence",
        metavar="SECONDS",
        type=positive,
        help="what counts nothing for so long hangs (default: 900)",
    )
    add("--shrink", metavar="SECONDS", type=positive, default=20, help="to make a counterexample smaller (default: 20)")
    add("--together", action="store_true", help="no first round: for mutants that have survived it before")
    add("--record", action="store_true", help="keep what has killed each, to try it first the next time")
    add("--results", metavar="FOLDER", type=Path, default=RESULTS, help="for their folder (default: reports/out)")
    add("--no-report", action="store_true", help="leave out the page: nox -s report makes it of the results later")
    return result


def positive(text: str) -> int:
    """A number of seconds or things of which there is at least one."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def count(text: str) -> int:
    """A number of things, which may be none."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def run(chosen: argparse.Namespace, room: Path, tests: str) -> int:
    """The run; raises SetupError if it cannot be set up."""
    catalogue = read_catalogue(room, made(chosen))
    selection = select(catalogue, chosen)
    if chosen.suite is Suite.EXAMPLES:
        tests = EXAMPLES
        selection = within(selection, f"{EXAMPLES}/")
        if chosen.record:
            raise SetupError("--record keeps which properties kill: leave it out, or leave out --examples.")
    if chosen.list or not selection.mutants:
        show_list(selection, catalogue)
        return ALL_KILLED
    about = begin(chosen)
    try:
        with orderly_end(), own_console() as console:
            results = carry_out(console, about, catalogue, selection, chosen, plan_for_all(chosen, about, tests))
    except BaseException:
        if not (about.folder / RESULTS_FILE).exists():
            remove_folder(about.folder)
        raise
    return STATUS[results.verdict]


def made(chosen: argparse.Namespace) -> list[Mutant]:
    """The mutants that are made now; raises SetupError."""
    number = NIGHTLY * (chosen.profile == "nightly") if chosen.generated is None else chosen.generated
    if number == 0:
        return []
    with checking(find_postgres(chosen.pg_config), ROOT) as check:
        return generated(number, chosen.seed, check)


def show_list(selection: Selection, catalogue: Catalogue) -> None:
    """The names, with what a developer did wrong."""
    for one in selection.mutants:
        same = catalogue.equivalents.get(one.name)
        print(f"{one.name}: {one.mistake}{f' (equivalent: {same})' if same else ''}")
    print(f"Mutants, {selection.words}")


def plan_for_all(chosen: argparse.Namespace, about: Run, tests: str) -> Plan:
    """What all attempts have in common."""
    server = () if about.postgres.bundled else (f"--pg-config={about.postgres.pg_config.absolute()}",)
    profile = f"--profile={chosen.profile}", f"--silence={silence(chosen)}"
    return Plan(tests=tests, shrink=chosen.shrink, options=(*profile, *server))


def silence(chosen: argparse.Namespace) -> float:
    """Seconds in which nothing is counted before something hangs."""
    if chosen.suite is Suite.EXAMPLES:
        return float(chosen.silence or LONGEST_EXAMPLE)
    return float(chosen.silence or SILENCE[chosen.profile])


def carry_out(
    console: Console, about: Run, catalogue: Catalogue, selection: Selection, chosen: argparse.Namespace, how: Plan
) -> Mutants:
    """Tries the mutants, shows what becomes of them, and writes it down; raises SetupError."""
    examples = chosen.suite is Suite.EXAMPLES
    tested = f"{about.tested}, {'examples' if examples else f'profile {chosen.profile}'}"
    console.print(f"{tested}: mutants, {selection.words}", soft_wrap=True)
    with copied_tree() as original:
        until = about.began + chosen.budget if chosen.budget else NO_BOUND
        trials = Trials(original, silence(chosen) + CLEARING_UP, PROGRAMS[chosen.suite], until)
        ground = baseline(trials, how, about.postgres)
        tried = [one for one in selection.mutants if one.name not in catalogue.equivalents]
        if examples:
            check_known(ground, all_examples(original / EXAMPLES), "mend that")
            records, interrupted = try_once(trials, tried, how, chosen.workers, lambda one: tell(console, one))
        else:
            known = [catalogue.killers[one.name] for one in tried if one.name in catalogue.killers]
            check_known(ground, known, f"mend that, or take it out of {KILLERS}")
            planned = {one: plans(one, catalogue.killers, how) for one in tried}
            records, interrupted = try_all(
                trials, planned, chosen.workers, lambda one: tell(console, one), chosen.together
            )
        if not interrupted:
            records, interrupted = proven(ground, records)
        records = compared(records, tried, original, about.postgres)
    records += [equivalent(one, catalogue.equivalents[one.name]) for one in selection.mutants if one not in tried]
    seconds = about.seconds()
    described = circumstances(about, seconds, server_settings(about.implementation))
    results = results_of(records, interrupted, chosen.suite, chosen.profile, selection.words, described)
    write_results(about.folder, results)
    if chosen.record:
        catalogue.record({one.name: one.kill.test for one in records if one.kill and not is_generated(one.name)})
    facts = {"Tested": f"{tested}, in {clock(seconds)} min", "Results": str(nearer(about.folder))}
    if not chosen.no_report:
        facts["Report"] = report(nearer(about.folder))
    show_end(console, results, facts)
    return results


def tell(console: Console, one: Record) -> None:
    """Tells of a mutant that has ended."""
    console.print(ended_line(one), soft_wrap=True)


def check_known(ground: Baseline, tests: Sequence[str], remedy: str) -> None:
    """Raises SetupError if something that is to kill mutants fails without any."""
    try:
        with no_hanging():
            failed = ground.unheld(tests)
    except OutOfTimeError:  # nothing will be run, then
        return
    for test, reason in failed.items():
        if reason == ABSENT:  # it has another name by now, or is about another PostgreSQL
            continue
        raise SetupError(f"Without any mutant, {test} does not hold ({reason}): {remedy}.")


def proven(ground: Baseline, records: Sequence[Record]) -> tuple[list[Record], bool]:
    """The same, but what does not hold without a mutant has killed none; and whether that was interrupted."""
    ground.trials.until = NO_BOUND  # a kill is worth nothing without this
    try:
        with no_hanging():
            failed = ground.unheld(one.kill.test for one in records if one.kill)
    except KeyboardInterrupt:
        return list(records), True
    return [disproved(one, failed) for one in records], False


def compared(records: Sequence[Record], mutants: Sequence[Mutant], original: Path, postgres: Postgres) -> list[Record]:
    """The same, but a survivor that compiles to the same program is equivalent: on this PostgreSQL, there is no bug."""
    if all(one.outcome is not Outcome.SURVIVED for one in records):
        return list(records)
    same = f"on PostgreSQL {postgres.version_string.split()[0]} it compiles to the same program"
    by_name = {one.name: one for one in mutants}
    with checking(postgres, original) as check:
        return [
            equivalent(mutant, same)
            if one.outcome is Outcome.SURVIVED and check.changes_nothing(mutant.diff, mutant.files)
            else one
            for one in records
            for mutant in [by_name[one.name]]
        ]


@contextmanager
def no_hanging() -> Iterator[None]:
    """Raises SetupError if the properties hang without any mutant."""
    try:
        yield
    except HungError as error:
        raise SetupError(f"Without any mutant, the properties hang ({error}): give them longer by --silence.") from None


if __name__ == "__main__":
    sys.exit(main())
