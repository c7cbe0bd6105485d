"""Notices of what happens in Dagster and in the ledger (fineline.notifications), and the sensor that delivers them."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from fineline.dagster.metadata import report
from fineline.dagster.stages import Stage
from fineline.errors import FinelineError
from fineline.notifications import notice, outbox
from fineline.notifications.notice import Notice

if TYPE_CHECKING:
    from fineline.governance.ledger import Entry

FAILURES = "failures"
SENSOR = "notifications"
SECONDS = 30


def failure_sensor(root: Path, jobs: Collection[str], assets: Collection[dg.AssetKey]) -> dg.SensorDefinition:
    """Return the sensor that writes a notice of every failed run of these jobs, or of a selection of these assets.

    Other jobs of the code location belong to definitions that were merged with the project's. The notice quotes no output of a
    step, because that may contain data.
    """

    @dg.run_failure_sensor(
        name=FAILURES,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends notifications of failed runs (notifications.yaml)",
        monitor_all_code_locations=False,
    )
    def fail(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        if run.job_name not in jobs and not set(run.asset_selection or ()) & set(assets):
            return
        steps = [event.step_key for event in context.get_step_failure_events() if event.step_key]
        subject = run.tags.get("dagster/partition") or run.tags.get("fineline/adapter") or run.job_name
        where = f"Failed: {', '.join(steps)}." if steps else "It failed before its first step."
        lines = (where, f"Job {run.job_name}, run {run.run_id}: its log is in Dagster.")
        outbox.put(root, Notice("failed", subject, f"{subject}: a run failed", lines, run.run_id, notice.now()))

    return fail


def delivery_sensor(root: Path) -> dg.SensorDefinition:
    """Return the sensor that delivers the notices in the outbox."""

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Delivers notifications to the receivers in notifications.yaml; repeats those that failed",
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
        summary = [*found.problems, *([f"{found.waiting} waiting"] if found.waiting else [])]
        return dg.SkipReason("; ".join(summary) or f"{len(found.delivered)} delivered")

    return deliver


def notify_verdict(stage: Stage) -> None:
    """Write a notice of the final verdict on a candidate, once for each candidate."""
    candidate = report(stage, "candidate.json")
    if candidate:
        verdict, reasons = str(candidate["verdict"]), tuple(candidate["reasons"])
        outbox.put(stage.root, notice.verdict_notice(stage.subject, verdict, reasons, candidate["candidate"]["digest"]))


def notify_actions(root: Path, entries: Sequence["Entry"]) -> None:
    """Write notices of promotions, rollbacks and revocations."""
    from fineline.governance import statements

    for entry in entries:
        fields = entry.predicate
        if entry.kind in (statements.PROMOTE, statements.ROLLBACK):
            release = fields["release"]
            title = f"{fields['adapter']}: {entry.person} {entry.action} a release in {fields['channel']}"
            lines: tuple[str, ...] = (f"Model {release['candidate']}.", f"Release {release['name']}.")
            outbox.put(root, Notice("promoted", fields["adapter"], title, lines, entry.id, entry.time))
        elif entry.kind == statements.REVOKE:
            subjects = tuple(f"{name}: {digest}" for name, digest in sorted(entry.subjects.items()))
            lines = (*subjects, f"Entry {entry.id}; `fineline history` shows it, and what it affects.")
            outbox.put(root, Notice("revoked", "ledger", f"{entry.person} recorded a revocation", lines, entry.id, entry.time))
