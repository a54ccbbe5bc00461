"""A model and a real cluster in step: every operation is done to both, and they must agree.

After each operation the outcome (value or SQLSTATE) and the view, row by row, are compared with the model's; label
files, start points and repeated stops are checked by the client.
"""

from harness.clients.client import Client, Violation
from harness.clients.history import describe
from harness.server.probes import forced_full_page_writes, live_backups
from model.linearizability.schedule import explains, without_ghosts
from model.operations import ListBackups, Operation, Renew, Restart
from model.outcomes import BackupRow, Ok, Outcome
from model.promises import Transition
from model.scope import ALICE, BOB, CAROL, ROOT
from model.state import Role, initial
from model.tour import classify
from model.transition import run, view
from properties.recording.tally import Tally
from properties.support.counts import check_counts

ROLES = (ROOT, ALICE, BOB, CAROL)
SESSIONS = 4


class Lockstep:
    """A model and a client, in step."""

    def __init__(self, client: Client, tally: Tally, roles: tuple[Role, ...] = ROLES, sessions: int = SESSIONS) -> None:
        self.client = client
        self.design = client.implementation.design
        self.tally = tally
        self.counts = True
        """Is what the implementation counts compared, too? Not while somebody is held who has yet to clear up."""
        self.first = self.model = initial(self.design, roles, sessions)
        client.begin(roles, sessions, self.design.settings)

    def step(self, operation: Operation) -> Outcome:
        """One operation on both; returns the outcome, with the model's ghosts; raises Violation where they disagree."""
        before = self.model
        alternatives = run(self.design, before, operation)
        wanted = " or ".join(dict.fromkeys(describe(self.visible(operation, one)) for _, one in alternatives))
        try:
            outcome = self.client.perform(operation)
        finally:
            self.client.history.events[-1].expected = wanted
        agreeing = [(after, one) for after, one in alternatives if explains(self.visible(operation, one), outcome)]
        if not agreeing:
            raise Violation(f"{operation}\n  returned {describe(outcome)}\n  expected {wanted}")
        self.model, expected = agreeing[0]
        self.compare_view()
        if self.counts:
            check_counts(self.client, self.model)
        if isinstance(operation, Restart) and self.client.implementation.durable:
            self.probe()
        self.tally.steps += 1
        self.tally.classes.add(classify(Transition(self.design, before, operation, outcome, self.model)))
        return expected

    def compare_view(self) -> None:
        """The view, row by row; raises Violation."""
        if self.client.implementation.view is None:
            return
        expected = tuple(self.visible_row(row) for row in view(self.model))
        shown = self.client.rows()
        if shown != expected:
            raise Violation(f"the view shows\n  {shown}\nexpected\n  {expected}")

    def probe(self) -> None:
        """Core's hidden counter, against the model and the view; raises Violation."""
        forced = forced_full_page_writes(self.client.admin)
        view = self.client.implementation.view
        if (
            view is not None
            and not self.model.stock_backups()
            and forced != (live_backups(self.client.admin, view) > 0)
        ):
            raise Violation(
                f"core {'forces' if forced else 'does not force'} full-page writes, against what the view shows"
            )
        if forced != (self.model.running_backups > 0):
            raise Violation(
                f"core {'still forces' if forced else 'does not force'} full-page writes"
                f" with {self.model.running_backups} backups running"
            )

    def visible(self, operation: Operation, outcome: Outcome) -> Outcome:
        """As much of an outcome as the implementation can show: no ghosts, and without a clock to read, no times."""
        outcome = without_ghosts(operation, outcome)
        if self.client.implementation.has_clock or not isinstance(outcome, Ok):
            return outcome
        if isinstance(operation, Renew):
            return Ok(None)
        if isinstance(operation, ListBackups) and isinstance(outcome.value, tuple):
            return Ok(tuple(self.visible_row(row) for row in outcome.value))
        return outcome

    def visible_row(self, row: BackupRow) -> BackupRow:
        """As much of a row as the implementation can show."""
        if self.client.implementation.has_clock:
            return row
        return BackupRow(row.label, row.state, row.owner, row.start_point, None, None, None)

    def finish(self, failed: bool) -> None:
        """The end of an example: nothing may be left, on either side."""
        if failed:
            self.client.recover()
            self.client.end()
            return
        try:
            self.probe()
            self.client.end()
            self.nothing_left()
        except Exception:
            self.client.recover()
            raise

    def nothing_left(self) -> None:
        """Core counts no backup any more; raises Violation."""
        if forced_full_page_writes(self.client.admin):
            raise Violation("core still forces full-page writes after every backup was stopped, aborted or expired")
