"""What a design promises: named predicates over a situation, or over one transition.

Each says in a sentence what a user may rely on, which designs claim it, and, as a function right below, when it is
kept. ``explore`` checks every promise in every reachable situation of a small scope, claimed or not: a claim with a
counterexample is a bug. What a design does not claim it should be seen to break, unless it lacks what the promise is
about.

Where operations overlap, an operation that takes place in several phases is judged when it ends, unless its promise
says otherwise: the state before is then the one before its last phase.
"""

from model.promises import callers, counting, deadlines, restarts, rights
from model.promises.declaring import DECLARED, Promise, Transition

__all__ = ["PROMISES", "Promise", "Transition", "callers", "counting", "deadlines", "restarts", "rights"]

PROMISES: tuple[Promise, ...] = tuple(DECLARED)
"""All of them, in the order of the files above."""
