"""fineline.dagster.staleness_sync: Dagster and DVC agree on what is stale, wherever stages are run."""

import json
import shutil
import tempfile
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fineline.dagster.definitions import build_definitions
from fineline.dagster.dvc_state import Change, at_work, changes
from fineline.dagster.stages import Stage, read_stages, stage_name
from fineline.dagster.staleness_sync import OTHER, Known, disagreements, fingerprint, from_tags, is_stale, staleness_sensor
from tests.dagster.conftest import Project

HOME = ("base@tiny-1m", "curate@home-en", "train@home-en", "evaluate@home-en")


def tick(project: Project, instance: dg.DagsterInstance, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    """One tick with the definitions of today; what it reports is stored."""
    sensor = staleness_sensor(project.root, read_stages(project.root))
    found = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
    for event in found.asset_events if isinstance(found, dg.SensorResult) else ():
        instance.report_runless_asset_event(event)
    return found


def reported(found: dg.SensorResult) -> list[str]:
    return [stage_name(event.asset_key.path) for event in found.asset_events if isinstance(event, dg.AssetMaterialization)]


def stale(project: Project, instance: dg.DagsterInstance) -> set[str]:
    """What Dagster itself would mark, with the definitions of today."""
    graph = build_definitions(project.root).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    keys = [dg.AssetKey(stage.key) for stage in read_stages(project.root)]
    return {stage_name(key.path) for key in keys if resolver.get_status(key) != StaleStatus.FRESH}


def changed(project: Project) -> set[str]:
    return set(json.loads(project.dvc("status", "--json")))


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def test_a_repro_outside_shows_within_a_tick_and_is_reported_once(made_project, instance):
    found = tick(made_project, instance)
    assert reported(found)[-1] in ("evaluate@home-en", "evaluate@support")
    assert stale(made_project, instance) == changed(made_project) == set()
    again = tick(made_project, instance, found.cursor)
    assert isinstance(again, dg.SkipReason)
    assert tick(made_project, instance).asset_events == []


def test_what_a_tick_reports_looks_like_any_other_materialization(made_project, instance):
    events = tick(made_project, instance).asset_events
    train = next(event for event in events if event.asset_key.path == ["home_en", "train"])
    assert train.metadata["dvc/action"].value == "outside"
    assert train.metadata["train_loss"].value == 0.5
    checks = {event.check_name for event in events if isinstance(event, dg.AssetCheckEvaluation)}
    assert {"gate", "drift", "approved"} <= checks


def test_an_edit_shows_as_stale_and_reports_nothing(made_project, instance):
    tick(made_project, instance)
    made_project.set(rank=16)
    assert tick(made_project, instance).asset_events == []
    assert stale(made_project, instance) == changed(made_project) == {"train@home-en"}


def test_what_was_loaded_before_an_edit_is_loaded_again(made_project, instance):
    sensor = staleness_sensor(made_project.root, read_stages(made_project.root))
    made_project.set(rank=16)
    found = sensor(dg.build_sensor_context(instance=instance))
    assert "press *Reload definitions*" in found.skip_message


def test_a_changed_or_removed_result_is_stale_in_both(made_project, instance):
    tick(made_project, instance)
    (made_project.root / "models" / "adapters" / "home-en" / "content.json").write_text("{}")
    shutil.rmtree(made_project.root / "data" / "curated" / "support")
    assert sorted(reported(tick(made_project, instance))) == ["curate@support", "train@home-en"]
    assert stale(made_project, instance) == changed(made_project)
    assert {"train@home-en", "evaluate@home-en", "curate@support", "train@support"} <= changed(made_project)
    made_project.dvc("checkout", "--force")
    tick(made_project, instance)
    assert stale(made_project, instance) == changed(made_project) == set()


def test_a_stage_that_runs_just_now_waits_for_a_later_tick(made_project, instance):
    stages = read_stages(made_project.root)
    lock = made_project.root / ".dvc" / "tmp" / "rwlock"
    path = str(made_project.root.resolve() / "models" / "adapters" / "home-en")
    lock.write_text(json.dumps({"write": {path: {"pid": 1, "cmd": "dvc repro"}}, "read": {}}))
    assert at_work(made_project.root, stages) == {"train@home-en", "evaluate@home-en"}
    found = tick(made_project, instance)
    assert not {"train@home-en", "evaluate@home-en"} & set(reported(found))
    assert found.cursor is None
    lock.write_text(json.dumps({"write": {path: {"pid": 2**22 + 1, "cmd": "dvc repro"}}, "read": {}}))
    assert at_work(made_project.root, stages) == set(), "a lock of a process that is gone holds nothing up"


def test_dvc_says_why(made_project):
    made_project.set(rank=16)
    (made_project.root / "rows" / "day-2.jsonl").write_text("{}\n")
    (made_project.root / "models" / "bases" / "tiny-1m" / "content.json").write_text("{}")
    found = changes(made_project.root, read_stages(made_project.root))
    assert found["curate@home-en"] == Change(frozenset({"rows"}), frozenset())
    assert found["train@home-en"].deps == {"params.yaml", "models/bases/tiny-1m"}
    assert found["base@tiny-1m"].outs == {"models/bases/tiny-1m"}
    assert "evaluate@home-en" not in found


def test_every_file_that_counts_is_in_the_fingerprint(made_project):
    stages = read_stages(made_project.root)
    seen = {fingerprint(made_project.root, stages)}
    for name in ("params.yaml", "dvc.lock", "rows/day-1.jsonl", "fineline.lock", "models/adapters/home-en/content.json"):
        with (made_project.root / name).open("a") as file:
            file.write("\n")
        seen.add(fingerprint(made_project.root, stages))
    assert len(seen) == 6


def make(name: str, *upstream: str) -> Stage:
    return Stage(Path(), name, "true", "", "", upstream, {}, {}, (f"out/{name}",), ())


def test_versions_survive_the_tags():
    stage = make("train@a-b", "curate@a-b", "base@b")
    said = Known("v", stage.code_version, {"curate@a-b": "1", "base@b": "2"})
    assert from_tags(said.tags, stage) == said


@pytest.mark.parametrize("reason", ["params.yaml", "out/curate@a", "out/train@a"])
def test_every_reason_of_dvc_makes_a_stage_stale_in_dagster(reason):
    curate, train = make("curate@a"), make("train@a", "curate@a")
    fresh = {
        "curate@a": Known("1", curate.code_version, {}),
        "train@a": Known("2", train.code_version, {"curate@a": "1"}),
    }
    is_out = reason == "out/train@a"
    change = Change(frozenset() if is_out else frozenset({reason}), frozenset({reason} if is_out else ()))
    wanted = disagreements([curate, train], {"curate@a": "1", "train@a": "2"}, {"train@a": change}, fresh)
    assert list(wanted) == ["train@a"]
    assert is_stale(wanted["train@a"], train, {"curate@a": "1", "train@a": "2"})


def test_a_result_that_dvc_lock_no_longer_records_gets_another_version():
    curate = make("curate@a")
    change = Change(frozenset(), frozenset({"out/curate@a"}))
    wanted = disagreements([curate], {}, {"curate@a": change}, {"curate@a": Known("1", curate.code_version, {})})
    assert wanted["curate@a"].data == OTHER
    assert disagreements([curate], {}, {"curate@a": change}, wanted) == {}


class TwoFronts(RuleBasedStateMachine):
    """A project in which Dagster, DVC and users act in any order."""

    made: Path

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="fronts-"))
        shutil.copytree(self.made, self.place / "project")
        self.project = Project(self.place / "project")
        self.instance = dg.DagsterInstance.ephemeral()
        self.saved: tuple[str, str] | None = None

    def teardown(self) -> None:
        self.instance.dispose()
        shutil.rmtree(self.place)

    @initialize(seen=st.booleans())
    def begin(self, seen: bool) -> None:
        """Dagster has seen no result, or all."""
        if seen:
            self.materialize(HOME)

    @rule(rank=st.sampled_from((8, 16)))
    def edit_params(self, rank: int) -> None:
        self.project.set(rank=rank)

    @rule(content=st.sampled_from(("{}\n", '{"a": 1}\n')))
    def edit_rows(self, content: str) -> None:
        (self.project.root / "rows" / "day-1.jsonl").write_text(content)

    @rule(split=st.sampled_from(("train", "test")), content=st.sampled_from((1, 2)))
    def edit_curation(self, split: str, content: int) -> None:
        self.project.set_curate(**{split: content})

    @rule(name=st.sampled_from(HOME))
    def run_dvc(self, name: str) -> None:
        if name.startswith("base") or (self.project.root / "data" / "curated" / "home-en").exists():
            self.project.dvc("repro", name)

    @rule(name=st.sampled_from(HOME))
    def run_dagster(self, name: str) -> None:
        self.materialize([name])

    @rule()
    def fail_in_dagster(self) -> None:
        self.project.set(fails=True)
        self.materialize(["train@home-en"])
        self.project.set(fails=False)

    @rule(name=st.sampled_from(("models/adapters/home-en", "data/curated/home-en")))
    def remove(self, name: str) -> None:
        shutil.rmtree(self.project.root / name, ignore_errors=True)

    @rule()
    def change_a_result(self) -> None:
        file = self.project.root / "models" / "bases" / "tiny-1m" / "content.json"
        if file.exists():
            file.write_text('{"by": "hand"}')

    @rule()
    def commit(self) -> None:
        self.saved = ((self.project.root / "params.yaml").read_text(), self.project.lock())

    @precondition(lambda self: self.saved is not None)
    @rule()
    def check_out(self) -> None:
        assert self.saved is not None
        params, lock = self.saved
        (self.project.root / "params.yaml").write_text(params)
        (self.project.root / "dvc.lock").write_text(lock)
        self.project.dvc("checkout", "--force")

    @invariant()
    def they_agree(self) -> None:
        tick(self.project, self.instance)
        assert stale(self.project, self.instance) == changed(self.project)

    def materialize(self, names: list[str]) -> None:
        graph = build_definitions(self.project.root)
        wanted = {stage.name: dg.AssetKey(stage.key) for stage in read_stages(self.project.root)}
        assets = [asset for asset in graph.assets if isinstance(asset, dg.AssetsDefinition)]
        selection = [wanted[name] for name in names]
        dg.materialize(assets, selection=selection, instance=self.instance, raise_on_error=False)


@pytest.mark.parametrize(
    ("sequences", "steps"), [pytest.param(3, 8, marks=pytest.mark.slow), pytest.param(40, 20, marks=pytest.mark.soak)]
)
@pytest.mark.timeout(7200)
def test_dagster_and_dvc_agree_after_any_sequence_of_actions(made, sequences, steps):
    TwoFronts.made = made
    run_machine(sequences, steps)


def run_machine(sequences: int, steps: int) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        TwoFronts,
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
