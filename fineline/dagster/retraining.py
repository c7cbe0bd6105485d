"""The job `retrain`: one run retrains one adapter.

Its ops are the steps of `fineline.dagster.challenge`. The adapter is the partition, so that Dagster shows the last run of each,
and several can be started together. The result is a branch; the project's assets follow when the branch is merged.
`retraining/<adapter>/challenger` shows each result, and its scores over time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import dagster as dg

from fineline.artifacts import locks
from fineline.dagster import challenge
from fineline.dagster.challenge import Challenger
from fineline.dagster.jobs import adapters, time_limit
from fineline.dagster.metadata import Metadata
from fineline.dagster.repro import ReproFailed, lock_file
from fineline.dagster.stages import Stage
from fineline.dagster.translation import RETRIES, Knobs, failure, once, pool_of, shown
from fineline.errors import FinelineError, Unreachable
from fineline.notifications import notice, outbox

JOB = "retrain"
_STALE = "stale"
_held: dict[Path, IO[str]] = {}


def retrain_job(root: Path, stages: Sequence[Stage]) -> dg.JobDefinition:
    """Return the job; its partitions are the adapters."""
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
        # DVC starts a process for each stage; a second one per step would only take time
        executor_def=dg.in_process_executor,
        tags={JOB: "true", **time_limit(list({stage.kind: stage for stage in stages}.values()))},
    )


def _begin_op(root: Path) -> dg.OpDefinition:
    @dg.op(
        name="refresh",
        description="Prepares a worktree with the newest data, and finds the stale stages",
        out={_STALE: dg.Out(dg.Nothing, is_required=False)},
        retry_policy=RETRIES,
    )
    def refresh(context: dg.OpExecutionContext) -> Iterator[dg.Output]:
        name = context.partition_key
        with once():
            try:
                with _locked(root, name, context.log.info):
                    stale = challenge.begin(root, name, context.log.info)
            except FinelineError as error:
                raise dg.Failure(str(error), allow_retries=isinstance(error, Unreachable)) from error
        if stale:
            yield dg.Output(None, _STALE, metadata={"would_run": dg.MetadataValue.json(stale)})
        else:
            _release(root, name)
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
        with once(), _locked(root, name, context.log.info):
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
        description="Saves the result as a branch and asks for its approval, or reports why it failed",
    )
    def conclude(context: dg.OpExecutionContext) -> None:
        name = context.partition_key
        with once(), _locked(root, name, context.log.info):
            challenger = challenge.conclude(root, name)
            if challenger is not None:
                outbox.put(root, _notice(challenger))
        _release(root, name)
        if challenger is None:
            context.log.info(f"{name}: the result is the same as before")
            return
        context.log_event(_materialization(challenger))

    return conclude


def challenger_asset(stage: Stage) -> dg.AssetSpec:
    """Return the asset that shows the results of an adapter's retrainings."""
    return dg.AssetSpec(
        key=_key(stage.subject),
        description=f"The results of retraining {stage.subject}. One that passes waits on its branch for approval",
        group_name=stage.key[0],
        kinds={"git"},
        tags={"fineline/subject": stage.subject},
    )


@contextmanager
def _locked(root: Path, adapter: str, show: Callable[[str], None]) -> Iterator[None]:
    """Hold an adapter's retraining lock from the first step of a run to the last, all of which are in one process.

    A step that is executed again alone acquires the lock itself. After an exception it is released.
    """
    file = lock_file(root, f"{JOB}@{adapter}")
    if file not in _held:
        _held[file] = locks.acquire(file, lambda: show(f"{adapter}: is being retrained already; waiting for it to finish"))
    try:
        yield
    except BaseException:
        _release(root, adapter)
        raise


def _release(root: Path, adapter: str) -> None:
    stream = _held.pop(lock_file(root, f"{JOB}@{adapter}"), None)
    if stream is not None:
        stream.close()


def _key(adapter: str) -> dg.AssetKey:
    return dg.AssetKey(["retraining", adapter.replace("-", "_"), "challenger"])  # three parts, which no stage's key has


def _notice(challenger: Challenger) -> notice.Notice:
    return notice.verdict_notice(
        challenger.adapter, challenger.verdict, challenger.reasons, challenger.digest, challenger.branch
    )


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
    waits = "waits for approval" if challenger.waits else "cannot be promoted"
    return dg.AssetMaterialization(_key(challenger.adapter), description=f"{challenger.verdict}: {waits}", metadata=metadata)
