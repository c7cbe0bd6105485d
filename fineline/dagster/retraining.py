"""The job *retrain*, a run of it for one adapter, and the schedules that start one.

Its ops are the steps of `fineline.dagster.challenge`; the adapter is the partition, so that the browser shows for each how its
last run went, and several can be started at once. The result is a branch, not the project's own assets: those follow when the
branch is merged. `retraining/<adapter>/challenger` shows each result, and its scores over time.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from fineline.dagster import challenge, turns
from fineline.dagster.challenge import Challenger
from fineline.dagster.display import Metadata
from fineline.dagster.jobs import time_limit
from fineline.dagster.repro import ReproFailed
from fineline.dagster.stages import Stage
from fineline.dagster.translation import RETRIES, Knobs, failure, once, pool_of, shown
from fineline.errors import FinelineError, InputError, Unreachable
from fineline.notifications import notice, outbox
from fineline.project import params
from fineline.retraining import triggers
from fineline.retraining.triggers import Triggers

JOB = "retrain"
ADAPTER_TAG = "fineline/adapter"
_BEGUN = "stale"


def adapters(stages: Sequence[Stage]) -> list[str]:
    """Names of the adapters of the graph."""
    return sorted({stage.subject for stage in stages if stage.subject and not stage.is_base})


def retrain_job(root: Path, stages: Sequence[Stage]) -> dg.JobDefinition:
    """The job, its partitions the adapters."""
    kinds = list(dict.fromkeys(stage.kind for stage in stages))
    begin, conclude = _begin_op(root), _conclude_op(root)
    steps = [_stage_op(root, kind) for kind in kinds]

    @dg.graph(name=JOB, description="Refresh the source, run what is stale, judge the challenger, ask for its approval")
    def retrain() -> None:
        last = begin()
        for step in steps:
            last = step(before=last)
        conclude(before=last)

    return retrain.to_job(
        name=JOB,
        partitions_def=dg.StaticPartitionsDefinition(adapters(stages)),
        # DVC gives each stage a process of its own; a second one per step would only take time to start
        executor_def=dg.in_process_executor,
        tags={JOB: "true", **time_limit(list({stage.kind: stage for stage in stages}.values()))},
    )


def retrain_schedules(root: Path, stages: Sequence[Stage], job: dg.JobDefinition) -> list[dg.ScheduleDefinition]:
    """A schedule for every adapter with `retrain.cron`. One whose block is wrong has none; `arrivals` says why."""
    try:
        known = configured(root, stages)
    except InputError:  # the sensors say so
        return []
    return [_schedule(name, found, job) for name, found in known.items() if _is_schedule(found)]


def configured(root: Path, stages: Sequence[Stage]) -> dict[str, Triggers | InputError]:
    """What starts the retraining of each adapter, or what is wrong with its block.

    Raises:
        InputError: params.yaml is wrong as a whole.
    """
    known = params.load(root / params.FILE).adapters
    found: dict[str, Triggers | InputError] = {}
    for name in adapters(stages):
        if name in known:
            try:
                found[name] = _checked(name, triggers.of(name, known[name]))
            except InputError as error:
                found[name] = error
    return found


def _checked(name: str, found: Triggers) -> Triggers:
    from dagster._utils.schedules import is_valid_cron_schedule

    if found.cron is not None and not is_valid_cron_schedule(found.cron.strip()):
        place = f"params.yaml: adapters.{name}.retrain.cron"
        raise InputError(f"{place}: {found.cron!r} is no schedule; `0 3 * * 1` is every Monday at three")
    return found


def _is_schedule(found: Triggers | InputError) -> bool:
    return isinstance(found, Triggers) and found.cron is not None


def _schedule(name: str, found: Triggers | InputError, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    assert isinstance(found, Triggers)
    assert found.cron is not None

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(partition_key=name, tags={ADAPTER_TAG: name, "fineline/trigger": "cron"})

    return dg.ScheduleDefinition(
        name=f"{JOB}_{name.replace('-', '_')}",
        job=job,
        cron_schedule=found.cron.strip(),
        execution_timezone=found.timezone,
        execution_fn=request,
        default_status=dg.DefaultScheduleStatus.RUNNING,  # who writes a schedule into params.yaml wants it to run
        description=f"Retrains {name}: params.yaml, adapters.{name}.retrain",
        tags={ADAPTER_TAG: name},
    )


def _begin_op(root: Path) -> dg.OpDefinition:
    @dg.op(
        name="refresh",
        description="Prepares a worktree with the newest data, and looks what would run",
        out={_BEGUN: dg.Out(dg.Nothing, is_required=False)},
        retry_policy=RETRIES,
    )
    def refresh(context: dg.OpExecutionContext) -> Iterator[dg.Output]:
        name = context.partition_key
        with once():
            try:
                with turns.kept(root, _turn(name), context.log.info):
                    stale = challenge.begin(root, name, context.log.info)
            except FinelineError as error:
                raise dg.Failure(str(error), allow_retries=isinstance(error, Unreachable)) from error
        if stale:
            yield dg.Output(None, _BEGUN, metadata={"would_run": dg.MetadataValue.json(stale)})
        else:
            turns.leave(root, _turn(name))
            context.log.info(f"{name}: nothing has changed")

    return refresh


def _stage_op(root: Path, kind: str) -> dg.OpDefinition:
    @dg.op(
        name=kind,
        ins={"before": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        pool=pool_of(kind),
        retry_policy=RETRIES,
        description=f"`dvc repro -s {kind}@...` in the worktree",
    )
    def step(context: dg.OpExecutionContext, config: Knobs) -> None:
        name = context.partition_key
        # held from step to step; a step that is re-executed alone takes the turn anew
        with once(), turns.kept(root, _turn(name), context.log.info):
            for stage in challenge.stages_of(root, name):
                if stage.kind != kind:
                    continue
                try:
                    outcome = challenge.run(stage, root, name, force=config.force, pull=config.pull)
                except ReproFailed as error:
                    raise failure(error, stage) from error
                context.add_output_metadata({"dvc/action": outcome.action, "dvc/seconds": outcome.seconds, **shown(stage)})

    return step


def _conclude_op(root: Path) -> dg.OpDefinition:
    @dg.op(
        name="conclude",
        ins={"before": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        description="Saves the result as a branch and asks for its approval, or says why it does not deserve one",
    )
    def conclude(context: dg.OpExecutionContext) -> None:
        name = context.partition_key
        with once(), turns.kept(root, _turn(name), context.log.info):
            challenger = challenge.conclude(root, name)
            if challenger is not None:
                outbox.put(root, _notice(challenger))
        turns.leave(root, _turn(name))
        if challenger is None:
            context.log.info(f"{name}: all came out as it was")
            return
        context.log_event(_materialization(challenger))

    return conclude


def challenger_asset(stage: Stage) -> dg.AssetSpec:
    """Where the results of an adapter's retrainings show."""
    return dg.AssetSpec(
        key=_key(stage.subject),
        description=f"What retrainings of {stage.subject} ended in. A passing one waits on its branch for approval",
        group_name=stage.key[0],
        kinds={"git"},
        tags={"fineline/subject": stage.subject},
    )


def _turn(adapter: str) -> str:
    """What the steps of a run take turns at, from the first to the last."""
    return f"{JOB}@{adapter}"


def _key(adapter: str) -> dg.AssetKey:
    return dg.AssetKey(["retraining", adapter.replace("-", "_"), "challenger"])  # three parts: no stage can have its name


def _notice(challenger: Challenger) -> notice.Notice:
    return notice.of_verdict(challenger.adapter, challenger.verdict, challenger.reasons, challenger.digest, challenger.branch)


def _materialization(challenger: Challenger) -> dg.AssetMaterialization:
    metadata: Metadata = {
        "verdict": challenger.verdict,
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in challenger.reasons)),
        "branch": challenger.branch,
        "is_new": challenger.is_new,
        "candidate": challenger.digest,
        "champion": challenger.champion or "none yet",
        **{f"score/{name}": score for name, score in challenger.scores.items()},
    }
    waits = "waits for approval" if challenger.waits else "is not to be promoted"
    return dg.AssetMaterialization(_key(challenger.adapter), description=f"{challenger.verdict}: {waits}", metadata=metadata)
