"""A stage of dvc.yaml as a Dagster asset: the only seam between the two graphs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from fineline.dagster import approval, dvc_state
from fineline.dagster.checks import Check
from fineline.dagster.displays import DISPLAYS, UNKNOWN, Display
from fineline.dagster.metadata import Metadata
from fineline.dagster.notices import notify_verdict
from fineline.dagster.repro import Outcome, ReproFailed, reproduce
from fineline.dagster.stages import Stage, asset_key
from fineline.errors import FinelineError, InputError
from fineline.project import params

RETRIES = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
_ADDRESS = re.compile(r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+")
KILLED = (128 + 9, 128 + 15)  # the exit status of a shell whose child got SIGKILL or SIGTERM


class Knobs(dg.Config):
    """Options of a single run. Everything that decides a result is in params.yaml."""

    force: bool = Field(default=False, description="Run the stage even if nothing changed")
    pull: bool = Field(default=False, description="Fetch missing inputs and recorded results from the DVC remote")


def stage_asset(stage: Stage, labels: Mapping[str, str] | None = None) -> dg.AssetsDefinition:
    """Return an asset and its checks as one step.

    The step can be subset: checks alone read their report and run nothing; together with the asset they need no process.
    """
    display = _display(stage)
    checks = checks_of(stage)
    spec = asset_spec(stage, labels or {})

    @dg.multi_asset(
        name="__".join(stage.key),
        specs=[spec],
        check_specs=[dg.AssetCheckSpec(check.name, asset=spec.key, description=check.description) for check in checks],
        can_subset=True,
        pool=display.pool,
        retry_policy=RETRIES,
    )
    def step(context: dg.AssetExecutionContext, config: Knobs) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        with once():
            if context.selected_asset_keys:
                yield _materialize(stage, config)
            for check in checks:
                if dg.AssetCheckKey(spec.key, check.name) in context.selected_asset_check_keys:
                    yield dg.AssetCheckResult(asset_key=spec.key, check_name=check.name, **check.judge(stage).shown)

    return step


def checks_of(stage: Stage) -> tuple[Check, ...]:
    """Return the checks of a stage, answered by its reports and the ledger."""
    return (*_display(stage).checks_of(stage), *approval.checks_of(stage))


def shown(stage: Stage) -> Metadata:
    """Return the metadata of the stage's present result."""
    return _display(stage).metadata(stage)


def pool_of(kind: str) -> str | None:
    """Return the pool in which steps of a kind of stage wait."""
    return DISPLAYS.get(kind, UNKNOWN).pool


@contextmanager
def once() -> Iterator[None]:
    """Disable retries for every exception within the context except what `failure` allows."""
    try:
        yield
    except dg.Failure:
        raise
    except FinelineError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except Exception as error:
        raise dg.Failure(f"{type(error).__name__}: {error}", allow_retries=False) from error


def failure(error: ReproFailed, stage: Stage) -> dg.Failure:
    """Return the failure of a step, with the last lines of its output; retried only if that can help."""
    log = "\n".join(error.tail)
    metadata = {"log": dg.MetadataValue.md(f"```\n{log}\n```")}
    return dg.Failure(str(error), metadata=metadata, allow_retries=may_succeed_later(error, _display(stage)))


def may_succeed_later(error: ReproFailed, display: Display) -> bool:
    """True if a retry may succeed: DVC's lock was held, the stage was killed, or a remote place did not answer."""
    status = error.stage_status
    killed = status is not None and (status < 0 or status in KILLED)
    return error.is_lock or killed or (display.fetches and status == 1)


def asset_spec(stage: Stage, labels: Mapping[str, str]) -> dg.AssetSpec:
    """Return the stage's node in the asset graph."""
    display = _display(stage)
    return dg.AssetSpec(
        key=dg.AssetKey(stage.key),
        deps=[dg.AssetKey(asset_key(name)) for name in stage.upstream],
        description=stage.description,
        group_name=stage.key[0],
        owners=_owners(stage.owner),
        kinds={"dvc", display.kind} if display.kind else {"dvc"},
        tags={"fineline/stage": stage.kind, **({"fineline/subject": stage.subject} if stage.subject else {}), **labels},
        code_version=stage.code_version,
        metadata={
            "dvc/stage": stage.name,
            "dvc/command": stage.command,
            "dvc/params": dg.MetadataValue.json(dict(stage.params)),
            "dvc/outs": dg.MetadataValue.json(list(stage.outs)),
        },
    )


def _display(stage: Stage) -> Display:
    return DISPLAYS.get(stage.kind, UNKNOWN)


def _materialize(stage: Stage, config: Knobs) -> dg.MaterializeResult:
    try:
        outcome = reproduce(stage.root, stage.name, force=config.force, pull=config.pull, limit=stage.limit)
    except ReproFailed as error:
        raise failure(error, stage) from error
    if stage.kind == approval.CANDIDATE and outcome.action == "ran":
        notify_verdict(stage)
    return dg.MaterializeResult(
        asset_key=dg.AssetKey(stage.key),
        data_version=_version(stage),
        metadata={**_action(outcome), **shown(stage)},
    )


def _action(outcome: Outcome) -> dict[str, dg.MetadataValue]:
    return {"dvc/action": dg.MetadataValue.text(outcome.action), "dvc/seconds": dg.MetadataValue.float(outcome.seconds)}


def _version(stage: Stage) -> dg.DataVersion | None:
    version = dvc_state.read_lock(stage.root).data_version(stage)
    return dg.DataVersion(version) if version else None


def _owners(owner: str) -> list[str]:
    """Return the owner as an email address or a team: Dagster refuses to load definitions with anything else."""
    if not owner:
        return []
    if _ADDRESS.fullmatch(owner):
        return [owner]
    return ["team:" + re.sub(r"[^A-Za-z0-9_.-]", "_", owner.removeprefix("team:"))]


_RELEASES = "releases"  # `governance.store.ROOT`, whose import would import every key service

Labels = Mapping[str, Mapping[str, str]]
"""Name of an adapter -> its tags."""


def labels(root: Path, stages: Sequence[Stage]) -> Labels:
    """Return base, method, approval status and channels of every adapter, as far as they are known."""
    found: dict[str, dict[str, str]] = {stage.subject: {} for stage in stages if stage.subject and not stage.is_base}
    try:
        for name, adapter in params.load(root / params.FILE).adapters.items():
            if name in found:
                found[name] |= {"fineline/base": adapter.base, "fineline/method": adapter.train.method}
    except InputError:  # every stage reports it
        pass
    for stage in stages:
        if stage.kind == approval.CANDIDATE and (word := approval.status(stage)):
            found[stage.subject]["fineline/approval"] = word
    for name, tags in found.items():
        if channels := _channels(root, name):
            tags["fineline/channel"] = _value(".".join(channels))
    return found


def _channels(root: Path, adapter: str) -> list[str]:
    """Return the channels that have a release of the adapter."""
    place = root / _RELEASES / adapter / "channels"
    return sorted(link.name for link in place.iterdir() if link.is_symlink()) if place.is_dir() else []


def _value(text: str) -> str:
    """Return the text as a valid value of a Dagster tag."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:63]
