"""``--keep``: the smallest sets of features that keep promises, as they are kept and as they are shown."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console

from harness.schema import exploration as schema
from model.explore import Watch
from model.features import Refutation, ScopeOf, Search, cost, design_of, left_after
from model.promises import Promise
from properties.exploration.records import counterexample
from properties.exploration.showing import show_history


def smallest_sets(keep: Sequence[Promise], scopes: Mapping[str, ScopeOf], watch: Watch) -> tuple[schema.Kept, bool]:
    """All of them, unless the watch ends it early, or Ctrl-C; and whether that did."""
    search = Search(tuple(keep), scopes, watch)
    interrupted = True
    with contextlib.suppress(KeyboardInterrupt):
        search.run()
        interrupted = False
    sets = tuple(
        [
            schema.FeatureSet(
                features=tuple(sorted(features)), cost=cost(features), without=tuple(left_out(search, features))
            )
            for features in search.sets
        ]
    )
    kept = schema.Kept(
        promises=tuple([promise.name for promise in keep]),
        scopes=tuple(scopes),
        sets=sets,
        tried=len(search.refuted) + len(search.sets),
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
