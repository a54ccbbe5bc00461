"""``--keep``: the smallest sets of features that keep promises, as they are kept and as they are shown."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, suppress

from msgspec.structs import replace
from rich.console import Console

from harness.schema import exploration as schema
from model.explore import Exploration
from model.features import Explorer, Refutation, Search, cost, design_of, left_after
from model.promises import Promise
from model.scope import Scope
from properties.exploration.distribution import Distribution
from properties.exploration.explored import history_of
from properties.exploration.records import counterexample
from properties.exploration.showing import show_history
from properties.exploration.worker import Found, Task


def explorer(distribution: Distribution, like: Task) -> Explorer:
    """An explorer that has workers explore all scopes at once; ``like``: what their tasks have in common."""

    def explored(
        scopes: Mapping[str, Scope], promises: tuple[Promise, ...]
    ) -> Generator[tuple[str, Exploration], None, None]:
        names = tuple([promise.name for promise in promises])
        tasks = [
            replace(like, design=scope.design, scope=name, promises=names, claimed=True)
            for name, scope in scopes.items()
        ]
        ended: dict[str, Found] = {}
        with closing(distribution.explored(tasks)) as found:
            for name, scope in scopes.items():
                while name not in ended:
                    task, one = next(found)
                    ended[task.scope] = one
                yield name, told_by(ended[name], scope)

    return explored


def told_by(found: Found, scope: Scope) -> Exploration:
    """What a process has found, as the model has it."""
    broken = {name: history_of(scope, one) for name, one in found.broken.items()}
    return Exploration(scope, complete=found.explored.complete, broken=broken)


def smallest_sets(search: Search) -> tuple[schema.Kept, bool]:
    """All of them, unless a bound ends it early, or Ctrl-C; and whether that did."""
    interrupted = True
    with suppress(KeyboardInterrupt):
        search.run()
        interrupted = False
    sets = tuple(
        [
            schema.FeatureSet(
                features=tuple(sorted(features)),
                cost=cost(features),
                without=() if interrupted else tuple(left_out(search, features)),
            )
            for features in search.sets
        ]
    )
    kept = schema.Kept(
        promises=tuple([promise.name for promise in search.keep]),
        scopes=tuple(search.scopes),
        sets=sets,
        tried=search.tried,
        complete=search.complete,
    )
    return kept, interrupted


def left_out(search: Search, features: frozenset[str]) -> Iterator[schema.LeftOut]:
    """What each feature of a set is for."""
    for feature, refutation in search.without(features):
        yield schema.LeftOut(
            feature=feature,
            promise=refutation.promise.name,
            counterexample=in_full(search, left_after(features, feature), refutation),
        )


def in_full(search: Search, features: frozenset[str], refutation: Refutation) -> schema.Counterexample:
    """The history of a refutation."""
    scope = search.scopes[refutation.scope](design_of(features))
    return counterexample(refutation.scope, scope, refutation.path)


def show_kept(console: Console, kept: schema.Kept) -> None:
    """The sets, and what each feature is for."""
    console.print(f"To keep {', '.join(kept.promises)}:")
    for one in kept.sets:
        console.print(
            f"\n{' '.join(one.features) or 'nothing beyond the barest design'} (cost {one.cost})", style="bold"
        )
        for lost in one.without:
            console.print(f"  without {lost.feature}, {lost.promise} breaks:")
            show_history(console, lost.counterexample)
    if not kept.sets:
        console.print("no set of features does.", style="red bold")
    if not kept.complete:
        console.print("There may be other sets: not everything was tried.", style="yellow")
    console.print(f"{kept.tried} points of the axes were tried, in the scopes {', '.join(kept.scopes)}.", style="dim")
