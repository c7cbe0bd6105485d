"""The approval status of every artifact and channel, read from the ledger.

Dagster only shows it: every action needs a key (`fineline approve`, `promote`, `rollback`, `revoke`).
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from fineline.dagster.checks import ERROR, WARN, Check, Judgment
from fineline.dagster.launcher import reload
from fineline.dagster.metadata import Metadata, directories, table
from fineline.dagster.notices import notify_actions
from fineline.dagster.stages import Stage
from fineline.errors import FinelineError

if TYPE_CHECKING:
    from fineline.governance.ledger import Entry
    from fineline.governance.state import State

CHECK = "approved"
CANDIDATE = "assess"
"""The kind of stage whose result is approved."""
SENSOR = "ledger"
SECONDS = 30
_GOVERNANCE = "governance"  # `governance.files.ROOT`, without importing it
_ARTIFACTS = ("base", "ingest", "curate", "train", "merge", "export")
_COLUMNS = "time person act channel reason void entry"


def checks_of(stage: Stage) -> tuple[Check, ...]:
    """Return the check `approved` of a stage that makes an artifact or a candidate."""
    if stage.kind == CANDIDATE:
        return (Check(CHECK, "Everything that a channel requires before promotion is signed", judge),)
    if stage.kind in _ARTIFACTS:
        return (Check(CHECK, "It was not rejected or revoked, and the approvals that it needs itself are signed", judge),)
    return ()


def status(stage: Stage) -> str | None:
    """Return `approved`, `refused` or `waiting` for a candidate; None if there is no ledger or no candidate."""
    if not _has_begun(stage.root):
        return None
    from fineline.governance import requirements

    try:
        return requirements.status_of_candidate(_state(stage.root), stage.subject, stage.root).word
    except FinelineError:
        return None


def judge(stage: Stage) -> Judgment:
    """Return the approval status of a stage's result: waiting is a warning, a rejection or revocation an error."""
    if not _has_begun(stage.root):
        waits = stage.kind == CANDIDATE
        reason = "nothing is signed in this project yet; start with `fineline keygen NAME`"
        return Judgment(not waits, reason, WARN)
    from fineline.governance import requirements

    try:
        state = _state(stage.root)
        if stage.kind == CANDIDATE:
            found = [requirements.status_of_candidate(state, stage.subject, stage.root)]
        else:
            found = [requirements.status_of_artifact(state, directory, stage.root) for directory in directories(stage)]
    except FinelineError as error:
        return Judgment(False, str(error), WARN)
    if not found:
        return Judgment(False, f"does not exist yet; materialize {stage.name}", WARN)
    signed = {entry.id: requirements.row(entry, state) for one in found for entry in one.signed}
    metadata: Metadata = {"signed": table(list(signed.values()), _COLUMNS)} if signed else {}
    worst = next((one for word in ("refused", "waiting") for one in found if one.word == word), found[0])
    severity = ERROR if worst.refused else WARN
    reason = "; ".join(dict.fromkeys(reason for one in found for reason in one.reasons))
    return Judgment(worst.approved, reason, severity, metadata | {"approval": worst.word})


def channel_assets(root: Path, stages: Sequence[Stage]) -> list[dg.AssetSpec]:
    """Return an asset for each channel of each adapter, changed by promotion only; none where no policy can be read."""
    candidates = [stage for stage in stages if stage.kind == CANDIDATE]
    return [_channel_asset(stage, channel) for channel in _channels(root) for stage in candidates]


def ledger_sensor(root: Path, stages: Sequence[Stage]) -> dg.SensorDefinition:
    """Return the sensor that judges every artifact again after a new entry, and reports what entered a channel."""
    followed = [stage for stage in stages if checks_of(stage)]
    by_adapter = {stage.subject: stage for stage in stages if stage.kind == CANDIDATE}

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Follows governance/ledger: approvals, promotions, rollbacks and revocations show within a tick",
    )
    def follow(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if not _has_begun(root):
            return dg.SkipReason("nothing is signed in this project yet")
        try:
            state = _state(root)
        except FinelineError as error:
            return dg.SkipReason(str(error))
        new = state.ledger.since((context.cursor or "").split())
        if not new:
            return dg.SkipReason("no new entry")
        reload(context)  # the tags of the assets show the status too
        notify_actions(root, new if context.cursor else ())  # entries from before the first tick are not news
        events: list[Any] = [_evaluation(stage) for stage in followed]
        events += [_moved(entry, by_adapter[entry.predicate["adapter"]]) for entry in new if _is_move(entry, by_adapter)]
        return dg.SensorResult(asset_events=events, cursor=" ".join(state.ledger.heads))

    return follow


def _channel_asset(stage: Stage, channel: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=_channel_key(stage, channel),
        deps=[dg.AssetKey(stage.key)],
        description=f"The release in {channel}; `fineline promote {stage.subject} --to {channel}` and `rollback` change it",
        group_name=stage.key[0],
        kinds={"release"},
        tags={"fineline/channel": channel, "fineline/subject": stage.subject},
    )


def _channel_key(stage: Stage, channel: str) -> dg.AssetKey:
    """Return `releases/home_en/production`: no stage can have such a key."""
    return dg.AssetKey(["releases", stage.key[0], channel])


def _channels(root: Path) -> list[str]:
    from fineline.governance import policy

    try:
        return list(policy.load(root / policy.FILE).channels)
    except FinelineError:  # none yet, or an invalid one, which the checks report
        return []


def _is_move(entry: "Entry", adapters: dict[str, Stage]) -> bool:
    from fineline.governance import statements

    return entry.kind in (statements.PROMOTE, statements.ROLLBACK) and entry.predicate["adapter"] in adapters


def _moved(entry: "Entry", stage: Stage) -> dg.AssetMaterialization:
    from fineline.governance import store

    said = entry.predicate
    metadata: Metadata = {
        "act": entry.action,
        "person": entry.person,
        "time": entry.time,
        "entry": entry.id,
        "model": said["release"]["candidate"],
        "release": dg.MetadataValue.path(str(store.directory(stage.subject, said["release"]["name"]))),
        "previous": str(said["previous"] or "none"),
    }
    if "approved_by" in said:
        metadata |= {"approved_by": ", ".join(said["approved_by"]), "second_pair_of_eyes": said["second_pair_of_eyes"]}
    if "reason" in said:
        metadata["reason"] = said["reason"]
    key = _channel_key(stage, said["channel"])
    return dg.AssetMaterialization(key, description=f"{entry.action} by {entry.person}", metadata=metadata)


def _evaluation(stage: Stage) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(asset_key=dg.AssetKey(stage.key), check_name=CHECK, **judge(stage).shown)


def _has_begun(root: Path) -> bool:
    """True if there is a ledger. Until then governance is not imported, because it imports every key service."""
    return (root / _GOVERNANCE / "ledger").is_dir()


def _state(root: Path) -> "State":
    """Return the present state of the ledger."""
    from fineline.governance import files

    place = root / _GOVERNANCE
    content = tuple(sorted((str(path), path.stat().st_mtime_ns) for path in place.rglob("*") if path.is_file()))
    return _replayed(root, content, files.now()[:13])


@lru_cache(maxsize=2)
def _replayed(root: Path, content: tuple[Any, ...], hour: str) -> "State":
    """Replay the ledger once for each content, and again every hour, because approvals expire."""
    from fineline.governance import state

    return state.load(root=root)
