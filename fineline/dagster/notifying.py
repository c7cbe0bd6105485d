"""What is told to people (fineline.notifications): who writes it down, and the sensor that delivers it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from fineline.dagster.records import report
from fineline.dagster.stages import Stage
from fineline.errors import FinelineError
from fineline.notifications import notice, outbox
from fineline.notifications.notice import Notice

if TYPE_CHECKING:
    from fineline.governance.ledger import Entry

FAILURES = "failures"
SENSOR = "notifications"
SECONDS = 30


def failure_sensor(root: Path) -> dg.SensorDefinition:
    """Writes down every run that failed. What a step printed stays where it is: it may quote data."""

    @dg.run_failure_sensor(
        name=FAILURES,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of failed runs (notifications.yaml)",
        monitor_all_code_locations=False,
    )
    def fail(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        steps = [event.step_key for event in context.get_step_failure_events() if event.step_key]
        subject = run.tags.get("dagster/partition") or run.tags.get("fineline/adapter") or run.job_name
        where = f"Failed: {', '.join(steps)}." if steps else "It failed before a step did."
        lines = (where, f"Job {run.job_name}, run {run.run_id}: its log is in Dagster.")
        outbox.put(root, Notice("failed", subject, f"{subject}: a run failed", lines, run.run_id, notice.now()))

    return fail


def delivery_sensor(root: Path) -> dg.SensorDefinition:
    """Delivers what was written down."""

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Delivers notifications to whom notifications.yaml names; who cannot be reached gets them later",
    )
    def deliver(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        try:
            found = outbox.deliver(root)
        except FinelineError as error:
            return dg.SkipReason(str(error))
        for line in found.delivered:
            context.log.info(f"delivered to {line}")
        for problem in found.problems:
            context.log.error(problem)
        words = [*found.problems, *([f"{found.waiting} waiting"] if found.waiting else [])]
        return dg.SkipReason("; ".join(words) or f"{len(found.delivered)} delivered")

    return deliver


def tell_verdict(stage: Stage) -> None:
    """Write down what the final verdict on a candidate is, once for each candidate."""
    candidate = report(stage, "candidate.json")
    if candidate:
        verdict, reasons = str(candidate["verdict"]), tuple(candidate["reasons"])
        outbox.put(stage.root, notice.of_verdict(stage.subject, verdict, reasons, candidate["candidate"]["digest"]))


def tell_acts(root: Path, entries: Sequence["Entry"]) -> None:
    """Write down what was promoted, rolled back and revoked."""
    from fineline.governance import statements

    for entry in entries:
        fields = entry.predicate
        if entry.kind in (statements.PROMOTE, statements.ROLLBACK):
            release = fields["release"]
            title = f"{fields['adapter']}: {entry.person} {entry.action} a release in {fields['channel']}"
            lines: tuple[str, ...] = (f"Model {release['candidate']}.", f"Release {release['name']}.")
            outbox.put(root, Notice("promoted", fields["adapter"], title, lines, entry.id, entry.time))
        elif entry.kind == statements.REVOKE:
            about = tuple(f"{name}: {digest}" for name, digest in sorted(entry.subjects.items()))
            title = f"{entry.person} revoked something"
            lines = (*about, f"Entry {entry.id}; `fineline history` shows it, and what it taints.")
            outbox.put(root, Notice("revoked", "ledger", title, lines, entry.id, entry.time))
