"""fineline.dagster.approval: Dagster shows the approval status of the ledger, and follows it."""

import dagster as dg
import pytest

from fineline import artifacts
from fineline.dagster.approval import CHECK, SENSOR, channel_assets, checks_of, judge, ledger_sensor
from fineline.dagster.definitions import build_definitions
from fineline.dagster.stages import Stage
from fineline.governance import actions, people, revocations, store
from fineline.project import layout
from tests.governance.conftest import NAME, candidate, day, world

__all__ = ["world"]

OUTS = {
    "base": ("base@tiny", layout.base("tiny")),
    "curate": (f"curate@{NAME}", layout.curated(NAME)),
    "train": (f"train@{NAME}", layout.adapter(NAME)),
    "export": (f"export@{NAME}", layout.export(NAME, "quantized")),
    "assess": (f"assess@{NAME}", layout.reports(NAME) / "candidate.json"),
}
WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@pytest.fixture
def stages(world, tmp_path, monkeypatch):
    """Stages of the project, judged from another working directory."""
    found = {}
    for kind, (name, out) in OUTS.items():
        found[kind] = Stage(tmp_path, name, "true", "", "", (), {}, {}, (out.as_posix(),), (out.as_posix(),))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("fineline.governance.files.now", lambda: day(8))

    def look(kind):
        with monkeypatch.context() as patch:
            patch.chdir(elsewhere)
            return judge(found[kind])

    found["look"] = look
    return found


def test_without_signatures_the_candidate_waits_and_artifacts_pass(stages):
    judgment = stages["look"]("assess")
    assert (judgment.passed, judgment.severity) == (False, WARN)
    assert "start with `fineline keygen NAME`" in judgment.reason
    assert all(stages["look"](kind).passed for kind in ("base", "curate", "train", "export"))


def test_missing_approvals_are_listed_by_channel(world, stages):
    world.adopt()
    world.attest()
    judgment = stages["look"]("assess")
    assert (judgment.passed, judgment.severity, judgment.metadata["approval"]) == (False, WARN, "waiting")
    assert "staging: exported" in judgment.reason
    assert "production: exported" in judgment.reason
    world.approve("bob", "staging")
    judgment = stages["look"]("assess")
    assert (judgment.passed, judgment.metadata["approval"]) == (True, "approved")
    assert "staging: may be promoted" in judgment.reason
    assert "has 0 of 2 approvals" in judgment.reason


def test_signatures_are_a_table(world, stages):
    world.ready()
    rows = [record.data for record in stages["look"]("assess").metadata["signed"].records]
    assert [(row["person"], row["act"], row["channel"]) for row in rows] == [
        ("dan", "made", ""),
        ("dan", "judged", ""),
        ("ada", "approved", "production"),
        ("bob", "approved", "production"),
    ]
    assert rows[2]["reason"] == "Looks good."
    (made,) = (record.data for record in stages["look"]("train").metadata["signed"].records)
    assert (made["person"], made["act"]) == ("dan", "made")


def test_an_artifact_that_must_be_approved_by_itself(world, stages):
    world.rules["channels"]["production"]["upstream"] = {"data": {"roles": ["approver"]}}
    world.ready()
    judgment = stages["look"]("curate")
    assert (judgment.passed, judgment.severity) == (False, WARN)
    assert "data sha256:" in judgment.reason
    actions.decide_upstream(layout.curated(NAME), world.who("bob"), "I read a hundred rows.", approve=True, now=day(5))
    assert stages["look"]("curate").passed
    assert stages["look"]("train").passed, "the policy does not require its approval"


def test_results_of_a_revoked_artifact_fail(world, stages):
    world.ready()
    revocations.revoke("base", "tiny", world.who("ada"), "Its license was withdrawn.", now=day(6))
    for kind in ("base", "train", "export", "assess"):
        judgment = stages["look"](kind)
        assert (judgment.passed, judgment.severity, judgment.metadata["approval"]) == (False, ERROR, "refused")
        assert "Its license was withdrawn." in judgment.reason
    revocations.revoke("artifact", artifacts.read(layout.curated(NAME)).digest, world.who("ada"), "A secret in it.", now=day(7))
    assert "A secret in it." in stages["look"]("curate").reason


def test_a_candidate_that_was_rejected(world, stages):
    world.ready()
    world.reject("bob", now=day(5))
    judgment = stages["look"]("assess")
    assert (judgment.passed, judgment.severity) == (False, ERROR)
    assert "production: rejected by bob" in judgment.reason


def test_an_invalid_ledger_is_reported(world, stages):
    world.ready()
    people.FILE.write_text(people.FILE.read_text().replace("Bob", "Bobby"))
    judgment = stages["look"]("assess")
    assert not judgment.passed
    assert "differs from what was adopted" in judgment.reason


def test_nothing_was_made_yet(world, stages, tmp_path):
    world.adopt()
    missing = Stage(tmp_path, "merge@other", "true", "", "", (), {}, {}, ("models/merged/other",), ())
    assert judge(missing).reason == "does not exist yet; materialize merge@other"


def test_stages_that_make_no_artifact_have_no_such_check(tmp_path):
    for kind in ("plan", "evaluate"):
        assert checks_of(Stage(tmp_path, f"{kind}@x", "true", "", "", (), {}, {}, (), ())) == ()


class TestSensor:
    """Entries are reported within a tick, once."""

    @pytest.fixture
    def tick(self, stages, tmp_path):
        followed = [stages[kind] for kind in OUTS]
        sensor = ledger_sensor(tmp_path, followed)
        cursor = [None]

        def run():
            with dg.DagsterInstance.ephemeral() as instance:
                result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor[0]))
            if isinstance(result, dg.SensorResult):
                cursor[0] = result.cursor
            return result

        return run

    def test_nothing_signed(self, tick):
        assert "nothing is signed" in tick().skip_message

    def test_each_change_once(self, world, tick):
        world.ready()
        events = tick().asset_events
        assert {event.check_name for event in events} == {CHECK}
        assert len(events) == len(OUTS)
        assert "no new entry" in tick().skip_message
        entry = world.promote()
        *_, moved = tick().asset_events
        assert moved.asset_key == dg.AssetKey(["releases", NAME, "production"])
        assert moved.metadata["person"].value == "cho"
        assert moved.metadata["entry"].value == entry.id
        assert moved.metadata["approved_by"].value == "ada, bob"
        assert moved.metadata["release"].value == store.directory(NAME, world.release()).as_posix()
        assert "no new entry" in tick().skip_message

    def test_a_rollback_says_why(self, world, tick):
        world.ready()
        world.promote()
        candidate("2")
        world.attest(now=day(5))
        for name in ("ada", "bob"):
            world.approve(name, now=day(5))
        world.promote(now=day(6))
        assert len([event for event in tick().asset_events if isinstance(event, dg.AssetMaterialization)]) == 2
        actions.rollback(NAME, "production", world.who("cho"), "Too chatty.", now=day(7))
        *_, moved = tick().asset_events
        assert (moved.metadata["act"].value, moved.metadata["reason"].value) == ("rolled back", "Too chatty.")

    def test_a_damaged_ledger(self, world, tick):
        world.ready()
        people.FILE.unlink()
        assert "people.yaml: missing" in tick().skip_message


def test_channels_are_assets_that_no_run_makes(world, stages, tmp_path):
    specs = channel_assets(tmp_path, [stages["assess"]])
    assert {spec.key.to_user_string() for spec in specs} == {f"releases/{NAME}/staging", f"releases/{NAME}/production"}
    assert all({dep.asset_key for dep in spec.deps} == {dg.AssetKey([NAME, "assess"])} for spec in specs)


def test_a_policy_that_cannot_be_read_stops_nothing(world, stages, tmp_path):
    (tmp_path / "governance" / "policy.yaml").write_text("channels: 3")
    assert channel_assets(tmp_path, [stages["assess"]]) == []


def test_the_sensor_is_part_of_the_definitions(own_project):
    (sensor,) = [one for one in build_definitions(own_project.root).sensors if one.name == SENSOR]
    assert (sensor.name, sensor.default_status) == ("ledger", dg.DefaultSensorStatus.RUNNING)
