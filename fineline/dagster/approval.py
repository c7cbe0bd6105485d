"""Who agreed to what: the ledger's word on every artifact and channel.

There is no button here: an act takes a key (`fineline approve`, `promote`, `rollback`, `revoke`), and the browser follows.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from fineline.dagster.display import Check, Judgement, Metadata
from fineline.dagster.notifying import tell_acts
from fineline.dagster.records import directories, table
from fineline.dagster.reloading import reload
from fineline.dagster.stages import Stage
from fineline.errors import FinelineError

if TYPE_CHECKING:
    from fineline.governance.ledger import Entry
    from fineline.governance.state import State

CHECK = "approved"
CANDIDATE = "assess"
"""The kind of stage whose result people decide about."""
SENSOR = "ledger"
SECONDS = 30
_GOVERNANCE = "governance"  # as `governance.files` has it
_ARTIFACTS = ("base", "ingest", "curate", "train", "merge", "export")
_COLUMNS = dict.fromkeys(("time", "person", "act", "channel", "reason", "void", "entry"), "string")


def checks_of(stage: Stage) -> tuple[Check, ...]:
    """`approved` for a stage that makes an artifact or a candidate."""
    if stage.kind == CANDIDATE:
        return (Check(CHECK, "All that a channel asks for before the candidate may be promoted is signed", judge),)
    if stage.kind in _ARTIFACTS:
        return (Check(CHECK, "It is not rejected or revoked, and has the approvals that it needs by itself", judge),)
    return ()


def word(stage: Stage) -> str | None:
    """How a candidate stands, in one word: approved, refused or waiting; None where there is no ledger or no candidate."""
    if not _has_begun(stage.root):
        return None
    from fineline.governance import approval_status

    try:
        return approval_status.of_candidate(_state(stage.root), stage.subject, stage.root).word
    except FinelineError:
        return None


def judge(stage: Stage) -> Judgement:
    """Return the status of a stage's result by the ledger. Missing approvals are a warning, a rejection is an error."""
    if not _has_begun(stage.root):
        waits = stage.kind == CANDIDATE
        reason = "nobody has signed anything in this project yet; `fineline keygen NAME` begins"
        return Judgement(not waits, reason, dg.AssetCheckSeverity.WARN)
    from fineline.governance import approval_status

    try:
        state = _state(stage.root)
        if stage.kind == CANDIDATE:
            found = [approval_status.of_candidate(state, stage.subject, stage.root)]
        else:
            found = [approval_status.of_artifact(state, directory, stage.root) for directory in directories(stage)]
    except FinelineError as error:
        return Judgement(False, str(error), dg.AssetCheckSeverity.WARN)
    if not found:
        return Judgement(False, f"not made yet; materialize {stage.name}", dg.AssetCheckSeverity.WARN)
    signed = {entry.id: approval_status.row(entry, state) for one in found for entry in one.signed}
    metadata: Metadata = {"signed": table(list(signed.values()), _COLUMNS)} if signed else {}
    worst = next((one for word in ("refused", "waiting") for one in found if one.word == word), found[0])
    severity = dg.AssetCheckSeverity.ERROR if worst.refused else dg.AssetCheckSeverity.WARN
    reason = "; ".join(dict.fromkeys(reason for one in found for reason in one.reasons))
    return Judgement(worst.approved, reason, severity, metadata | {"approval": worst.word})


def channel_assets(root: Path, stages: Sequence[Stage]) -> list[dg.AssetSpec]:
    """What is in each channel of each adapter, as assets that only promotion changes. None where no policy can be read."""
    candidates = [stage for stage in stages if stage.kind == CANDIDATE]
    return [_channel_asset(stage, channel) for channel in _channels(root) for stage in candidates]


def ledger_sensor(root: Path, stages: Sequence[Stage]) -> dg.SensorDefinition:
    """Notices what was signed: judges every artifact anew, and tells what came into a channel."""
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
            return dg.SkipReason("nobody has signed anything in this project yet")
        try:
            state = _state(root)
        except FinelineError as error:
            return dg.SkipReason(str(error))
        new = state.ledger.since((context.cursor or "").split())
        if not new:
            return dg.SkipReason("nothing was signed since")
        reload(context)  # the tags of the assets tell the state too
        tell_acts(root, new if context.cursor else ())  # what was signed before anybody listened is no news
        events: list[Any] = [_evaluation(stage) for stage in followed]
        events += [_moved(entry, by_adapter[entry.predicate["adapter"]]) for entry in new if _is_move(entry, by_adapter)]
        return dg.SensorResult(asset_events=events, cursor=" ".join(state.ledger.heads))

    return follow


def _channel_asset(stage: Stage, channel: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=_channel_key(stage, channel),
        deps=[dg.AssetKey(stage.key)],
        description=f"What is in {channel}: `fineline promote {stage.subject} --to {channel}` and `rollback` change it",
        group_name=stage.key[0],
        kinds={"release"},
        tags={"fineline/channel": channel, "fineline/subject": stage.subject},
    )


def _channel_key(stage: Stage, channel: str) -> dg.AssetKey:
    """`releases/home_en/production`: apart from the keys of stages, whatever a channel is called."""
    return dg.AssetKey(["releases", stage.key[0], channel])


def _channels(root: Path) -> list[str]:
    from fineline.governance import policy

    try:
        return list(policy.load(root / policy.FILE).channels)
    except FinelineError:  # none yet, or one that the checks complain about
        return []


def _is_move(entry: "Entry", adapters: dict[str, Stage]) -> bool:
    from fineline.governance import statements

    return entry.kind in (statements.PROMOTE, statements.ROLLBACK) and entry.predicate["adapter"] in adapters


def _moved(entry: "Entry", stage: Stage) -> dg.AssetMaterialization:
    from fineline.governance import store

    fields = entry.predicate
    metadata: Metadata = {
        "act": entry.action,
        "person": entry.person,
        "time": entry.time,
        "entry": entry.id,
        "model": fields["release"]["candidate"],
        "release": dg.MetadataValue.path(str(store.directory(stage.subject, fields["release"]["name"]))),
        "previous": str(fields["previous"] or "none"),
    }
    if "approved_by" in fields:
        metadata |= {"approved_by": ", ".join(fields["approved_by"]), "second_pair_of_eyes": fields["second_pair_of_eyes"]}
    if "reason" in fields:
        metadata["reason"] = fields["reason"]
    key = _channel_key(stage, fields["channel"])
    return dg.AssetMaterialization(key, description=f"{entry.action} by {entry.person}", metadata=metadata)


def _evaluation(stage: Stage) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(asset_key=dg.AssetKey(stage.key), check_name=CHECK, **judge(stage).shown)


def _has_begun(root: Path) -> bool:
    """Whether there is a ledger: until then nothing of governance is imported, which brings every key service along."""
    return (root / _GOVERNANCE / "ledger").is_dir()


def _state(root: Path) -> "State":
    """The ledger as it is now."""
    from fineline.governance import files

    place = root / _GOVERNANCE
    content = tuple(sorted((str(path), path.stat().st_mtime_ns) for path in place.rglob("*") if path.is_file()))
    return _replayed(root, content, files.now()[:13])


@lru_cache(maxsize=2)
def _replayed(root: Path, content: tuple[Any, ...], hour: str) -> "State":
    """Replayed once for every content of the ledger, and again with every hour: approvals get old."""
    from fineline.governance import state

    return state.load(root=root)
