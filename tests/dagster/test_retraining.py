"""fineline.dagster.retraining: one run per adapter, in a separate worktree; it ends in a branch and a message."""

import json
import os
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml

from fineline.artifacts import reports
from fineline.dagster import challenge, worktree
from fineline.dagster.challenge import lineage
from fineline.dagster.definitions import build_definitions
from fineline.dagster.jobs import EVERYTHING, configured
from fineline.dagster.retraining import JOB
from fineline.dagster.sensors import REMOTE_SECONDS, look
from fineline.dagster.stages import read_stages
from fineline.dagster.worktree import git
from fineline.errors import FinelineError, InputError
from fineline.notifications import outbox
from fineline.project import layout
from fineline.retraining import refresh
from tests.dagster.small import Small


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """The project after its first commit; copied, never used."""
    return Small(tmp_path_factory.mktemp("small") / "begun").root


@pytest.fixture
def project(begun, tmp_path, monkeypatch) -> Small:
    """A project in which everything is up to date and committed."""
    copy = object.__new__(Small)
    copy.root, copy.log = tmp_path / "project", tmp_path / "runs"
    shutil.copytree(begun, copy.root, symlinks=True)
    copy.log.touch()
    monkeypatch.setenv("RUNS", str(copy.log))
    return copy


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def retrain(project, instance, name="support", **options):
    job = build_definitions(project.root).resolve_job_def(JOB)
    return job.execute_in_process(instance=instance, partition_key=name, raise_on_error=False, **options)


def waiting(project):
    """Notices on their way, as event and title."""
    files = sorted((project.root / ".fineline" / "outbox" / "waiting").glob("*.json"))
    found = [json.loads(file.read_text())["notice"] for file in files]
    return [(one["event"], one["title"]) for one in found]


def complaint(result, step):
    return result.failure_data_for_node(step).user_failure_data.description


def steps(result):
    return [event.step_key for event in result.all_events if event.event_type_value == "STEP_SUCCESS"]


def test_lineage_holds_the_base_and_leaves_other_adapters_out(fresh_project):
    names = {stage.name for stage in lineage("home-en", read_stages(fresh_project.root))}
    assert names == {"base@tiny-1m", "curate@home-en", "train@home-en", "evaluate@home-en"}


def test_an_unknown_adapter_is_refused(fresh_project):
    with pytest.raises(InputError, match="no stage of an adapter 'other'"):
        lineage("other", read_stages(fresh_project.root))


def test_the_jobs_are_named_after_tasks(project):
    definitions = build_definitions(project.root)
    jobs = {job.name for job in definitions.resolve_all_job_defs() if not job.name.startswith("__")}
    assert jobs == {JOB, "look_for_drift", "refresh_sources", "evaluate_only", EVERYTHING}, "and none without stages"
    keys = {key.to_user_string() for key in definitions.resolve_job_def("refresh_sources").asset_layer.selected_asset_keys}
    assert keys == {"tiny/base", "support/ingest"}


def test_a_run_as_a_whole_ends_in_time_if_each_of_its_stages_must(project):
    job = build_definitions(project.root).resolve_job_def(JOB)
    assert "dagster/max_runtime" not in job.tags, "a stage that may take as long as it likes"
    graph = project.root / "dvc.yaml"
    graph.write_text(graph.read_text().replace(", limit_hours: 1}", "}").replace('owner}"}', 'owner}", limit_hours: 2}'))
    definitions = build_definitions(project.root)
    assert definitions.resolve_job_def(JOB).tags["dagster/max_runtime"] == str(2 * 5 * 2 * 3600)
    assert definitions.resolve_job_def("refresh_sources").tags["dagster/max_runtime"] == str(2 * 2 * 2 * 3600)


def test_a_committed_edit_runs_what_it_makes_stale_in_an_empty_worktree(project, instance):
    """As a clone on another machine, or the first run after the worktree was lost."""
    params = project.root / "params.yaml"
    params.write_text(params.read_text().replace("train: {}", "train: {epochs: 2}"))
    project.commit("longer")
    before = len(project.runs())
    result = retrain(project, instance)
    assert result.success
    assert project.runs()[before:] == ["train@support"], "which gives the same adapter here, so nothing after it"


def test_without_news_nothing_runs_and_nothing_is_left(project, instance):
    result = retrain(project, instance)
    assert result.success
    assert steps(result) == ["refresh"]
    assert project.runs() == []
    assert project.branches() == []
    assert waiting(project) == []


def test_new_rows_end_in_a_branch_and_a_request(project, instance):
    project.rows("day-2", "two")
    (project.root / "notes.txt").write_text("notes of a user")
    before = project.git("status", "--porcelain"), (project.root / "dvc.lock").read_text()
    result = retrain(project, instance)
    assert result.success
    assert steps(result) == ["refresh", "base", "ingest", "train", "evaluate", "assess", "conclude"]
    assert project.runs() == ["ingest@support", "train@support", "evaluate@support", "assess@support"]
    assert (project.git("status", "--porcelain"), (project.root / "dvc.lock").read_text()) == before, "the project is as it was"
    (branch,) = project.branches()
    changed = project.git("diff", "--name-only", f"main..{branch}").split()
    provenance = [f"reports/support/provenance/{kind}.json" for kind in ("assess", "evaluate", "ingest", "train")]
    assert changed == ["dvc.lock", "reports/support/candidate.json", "reports/support/gate.json", *provenance]
    assert waiting(project) == [("approval", "support: a candidate passed and waits for approval")]
    shown = instance.get_latest_materialization_event(
        dg.AssetKey(["retraining", "support", "challenger"])
    ).asset_materialization.metadata
    assert shown["branch"].value == branch
    assert shown["score/target_exact_match"].value == 0.02


def test_what_landed_on_the_branch_is_there_after_a_merge_without_running_anything(project, instance):
    project.rows("day-2", "two")
    retrain(project, instance)
    ran = project.runs()
    project.git("merge", "--quiet", project.branches()[0])
    project.run("dvc", "checkout")
    assert project.run("dvc", "status").strip() == "Data and pipelines are up to date."
    assert (project.root / "models/adapters/support/weights.txt").read_text().count("{") == 2
    assert steps(retrain(project, instance)) == ["refresh"]
    assert project.runs() == ran


def test_the_same_news_twice_make_one_branch_and_one_message(project, instance):
    project.rows("day-2", "two")
    retrain(project, instance)
    ran = project.runs()
    result = retrain(project, instance)
    assert result.success
    assert project.runs() == ran, "the run cache knows it"
    assert len(project.branches()) == len(waiting(project)) == 1


def test_a_challenger_that_fails_is_saved_and_reported_but_not_offered(project, instance):
    project.rows("day-2", "bad")
    assert retrain(project, instance).success
    assert len(project.branches()) == 1
    assert waiting(project) == [("verdict", "support: the verdict is fail")]
    event = instance.get_latest_materialization_event(
        dg.AssetKey(["retraining", "support", "challenger"])
    ).asset_materialization
    assert event.description == "fail: cannot be promoted"


def test_uncommitted_edits_are_not_used(project, instance):
    content = yaml.safe_load((project.root / "params.yaml").read_text())
    content["adapters"]["support"]["train"] = {"rank": 64}
    (project.root / "params.yaml").write_text(yaml.safe_dump(content))
    assert steps(retrain(project, instance)) == ["refresh"]


def test_the_challenger_is_compared_with_production(project, instance):
    digest = project.promote()
    project.rows("day-2", "two")
    assert retrain(project, instance).success
    (branch,) = project.branches()
    gate = json.loads(project.git("show", f"{branch}:reports/support/gate.json"))
    assert gate["arms"]["champion"]["digest"] == digest
    assert "# ours" in project.git("show", f"{branch}:params.yaml"), "comments are kept"


def test_an_old_champion_is_fetched_from_the_cache(project, instance):
    first = project.promote()
    for day in ("day-2", "day-3"):
        project.rows(day, day)
        project.run("dvc", "repro", "--quiet")
        project.commit(day)
    project.rows("day-4", "four")
    result = retrain(project, instance)
    assert result.success
    gate = json.loads(project.git("show", f"{project.branches()[0]}:reports/support/gate.json"))
    assert gate["arms"]["champion"]["digest"] == first


def test_a_champion_that_is_nowhere_is_an_error(project, instance):
    project.promote()
    shutil.rmtree(project.root / ".dvc" / "cache")
    shutil.rmtree(project.root / "models" / "adapters")
    project.rows("day-2", "two")
    result = retrain(project, instance)
    assert not result.success
    assert "is in no dvc.lock of this repository" in complaint(result, "refresh")


@pytest.mark.parametrize("broken", ["no commit", "no source"])
def test_a_project_that_cannot_be_retrained_is_an_error_and_does_not_change(project, instance, broken):
    if broken == "no commit":
        shutil.rmtree(project.root / ".git")
        (project.root / ".dvc" / "config").write_text("[core]\n    no_scm = True\n")
    else:
        shutil.rmtree(project.root / "tickets")
    result = retrain(project, instance)
    expected = "retraining starts from a commit" if broken == "no commit" else "tickets: no such file or directory"
    assert expected in complaint(result, "refresh")
    assert (project.root / "models/adapters/support/weights.txt").exists()


def test_a_stage_that_fails_leaves_the_last_good_result(project, instance, monkeypatch):
    project.rows("day-2", "two")
    pause = project.root.parent / "pause"
    pause.write_text("no number")
    monkeypatch.setenv("PAUSE", str(pause))
    result = retrain(project, instance)
    assert "`dvc repro -s train@support` ended with status" in complaint(result, "train")
    assert project.branches() == []
    assert (project.root / "models/adapters/support/weights.txt").read_text().count("{") == 1
    pause.unlink()
    assert retrain(project, instance).success
    assert project.runs().count("ingest@support") == 1, "what was done before the failure is not done again"


def test_a_dirty_worktree_is_cleaned(project):
    place = worktree.prepare(project.root, "support")
    (place.root / "stage.py").write_text("raise SystemExit('broken')")
    (place.root / "left.over").write_text("")
    lock = Path(git(place.root, "rev-parse", "--absolute-git-dir")) / "index.lock"
    lock.touch()
    again = worktree.prepare(project.root, "support")
    assert git(again.root, "status", "--porcelain") == ""
    shutil.rmtree(place.root)
    assert worktree.prepare(project.root, "support").root.is_dir()


@pytest.mark.parametrize("damage", ["index", "admin", "locked"])
def test_a_damaged_worktree_is_made_again(project, damage):
    place = worktree.prepare(project.root, "support")
    own = Path(git(place.root, "rev-parse", "--absolute-git-dir"))
    if damage == "index":
        (own / "index").write_bytes(b"x")
    elif damage == "admin":
        shutil.rmtree(own)
    else:
        git(project.root, "worktree", "lock", str(place.root))
        shutil.rmtree(place.root)
    again = worktree.prepare(project.root, "support")
    assert git(again.root, "status", "--porcelain") == ""


def test_ignored_rows_next_to_a_tracked_file_are_used(project, instance):
    (project.root / ".gitignore").write_text((project.root / ".gitignore").read_text().replace("/tickets/", "/tickets/*.jsonl"))
    (project.root / "tickets" / "README").write_text("Tickets.")
    project.commit("a file next to the rows")
    project.rows("day-2", "two")
    assert retrain(project, instance).success
    (branch,) = project.branches()
    scores = json.loads(project.git("show", f"{branch}:reports/support/gate.json"))["scores"]
    assert scores["candidate"]["target_exact_match"] == 0.02
    (project.root / "tickets" / "day-2.jsonl").unlink()
    again = worktree.prepare(project.root, "support")
    assert not (again.root / "tickets" / "day-2.jsonl").exists()


def test_the_same_result_is_one_branch_after_another_commit(project, instance):
    project.rows("day-2", "two")
    assert retrain(project, instance).success
    (project.root / "notes.txt").write_text("x")
    project.commit("something else")
    assert retrain(project, instance).success
    assert len(project.branches()) == 1


def test_an_uncommitted_adapter_is_an_error(project):
    file = project.root / "params.yaml"
    content = yaml.safe_load(file.read_text())
    content["adapters"]["extra"] = content["adapters"]["support"]
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"adapters\.extra is not in the commit that is checked out"):
        worktree.prepare(project.root, "extra")


def test_a_conflict_in_an_old_dvc_lock_hides_no_champion(project, instance):
    project.promote()
    lock = project.root / "dvc.lock"
    before = lock.read_text()
    lock.write_text("<<<<<<< HEAD\n" + before)
    project.commit("a conflict")
    lock.write_text(before)
    project.commit("resolved")
    shutil.rmtree(project.root / "models" / "adapters" / "support")
    project.rows("day-2", "two")
    assert retrain(project, instance).success


@pytest.mark.parametrize("name", ["arrivals", "drift"])
def test_an_invalid_params_yaml_is_reported_and_the_memory_is_kept(project, instance, name):
    project.set(data=True, drift=True)
    definitions = build_definitions(project.root)
    sensor = next(one for one in definitions.sensors if one.name == name)
    (project.root / "params.yaml").write_text("bases: {")
    context = dg.build_sensor_context(instance, cursor='{"support": {"seen": "x"}}', definitions=definitions)
    found = sensor.evaluate_tick(context)
    assert "params.yaml" in found.skip_message
    assert found.cursor == '{"support": {"seen": "x"}}'


def test_a_return_to_earlier_data_is_new_data(project):
    project.set(data=True)
    memory, asked = {}, []
    for present in (False, True, False, True):
        file = project.root / "tickets" / "day-9.jsonl"
        project.rows("day-9", "nine") if present else file.unlink(missing_ok=True)
        os.utime(file, (1, 1)) if present else None
        os.utime(project.root / "tickets", (1, 1))
        for _ in range(2):
            requests, _, memory = look(project.root, configured(project.root, read_stages(project.root)), memory, 0.0)
            asked += [request.run_key for request in requests]
    assert len(asked) == len(set(asked)) == 4


def test_remotes_and_cache_are_those_of_the_project(project):
    project.run("dvc", "remote", "add", "--default", "shelf", "../shelf")
    project.run("dvc", "remote", "modify", "--local", "shelf", "verify", "true")
    project.commit("a remote")
    place = worktree.prepare(project.root, "support")
    assert "url = ../../shelf" in (project.root / ".dvc" / "config").read_text()
    local = (place.root / ".dvc" / "config.local").read_text()
    assert f"url = {(project.root.parent / 'shelf').resolve()}" in local
    assert "verify = true" in local
    assert f"dir = {project.root.resolve() / '.dvc' / 'cache'}" in local
    assert (place.root / ".dvc" / "config.local").stat().st_mode & 0o077 == 0


def test_rows_in_git_are_those_of_the_commit(project):
    (project.root / ".gitignore").write_text("/data/raw/\n/models/\n/.fineline/\n")
    project.commit("rows are code here")
    project.rows("day-2", "not committed")
    place = worktree.prepare(project.root, "support")
    assert [file.name for file in (place.root / "tickets").iterdir()] == ["day-1.jsonl"]


def test_what_was_at_a_url_is_read_again_only_if_it_changed(project, monkeypatch):
    seen = iter(({"far": "1"}, {"far": "1"}, {"far": "2"}))
    content = yaml.safe_load((project.root / "params.yaml").read_text())
    content["adapters"]["support"]["source"]["parts"] = {"far": {"files": "https://a.example/*.jsonl"}}
    (project.root / "params.yaml").write_text(yaml.safe_dump(content))
    project.run("dvc", "repro", "--quiet")
    project.commit("a source far away")
    monkeypatch.setattr(challenge.triggers, "fingerprint", lambda *_, **__: next(seen))
    ran = project.runs().count("ingest@support")
    counts = []
    for _ in range(3):
        assert challenge.begin(project.root, "support", print) == []
        counts.append(project.runs().count("ingest@support") - ran)
    assert counts == [1, 1, 2]


def test_a_release_without_an_adapter_is_an_error(project):
    project.promote()
    reports.write(next((project.root / "releases/support").glob("*/release.json")), {"artifacts": {}})
    with pytest.raises(InputError, match="names no adapter"):
        refresh.champion_of("support", project.root)


def look_at(project, remembered, now, **retrain):
    project.set(**retrain)
    return look(project.root, configured(project.root, read_stages(project.root)), remembered, now)


def test_new_files_start_a_run_once_they_are_unchanged(project):
    requests, problems, memory = look_at(project, {}, 0, data=True)
    assert (requests, problems) == ([], [])
    (request,), _, memory = look_at(project, memory, 60, data=True)
    assert request.partition_key == "support"
    assert look_at(project, memory, 120, data=True)[0] == []
    project.rows("day-2", "two")
    requests, _, memory = look_at(project, memory, 180, data=True)
    assert requests == [], "files may still be written"
    project.rows("day-2", "two and more")
    requests, _, memory = look_at(project, memory, 240, data=True)
    assert requests == []
    (again,), _, memory = look_at(project, memory, 300, data=True)
    assert again.run_key != request.run_key


def test_a_missing_source_is_reported_and_does_not_affect_others(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS", "")
    project = Small(tmp_path / "two", adapters=("home", "support"), data=True)
    shutil.rmtree(project.root / "tickets" / "home")
    _, problems, memory = look_at(project, {}, 0, data=True)
    assert "tickets/home: no such file or directory" in problems[0]
    requests, _, _ = look_at(project, memory, 60, data=True)
    assert [request.partition_key for request in requests] == ["support"]


def test_remote_places_are_asked_once_an_hour(project, monkeypatch):
    asked = []

    def fingerprint(source, root, *, remote):
        asked.append(remote)
        return {"near": "1"} | ({"far": "1"} if remote else {})

    monkeypatch.setattr("fineline.dagster.sensors.triggers.fingerprint", fingerprint)
    memory: dict = {}
    hour = REMOTE_SECONDS
    for now in (hour, hour + 60, hour + 120, 2 * hour, 2 * hour + 60):
        _, _, memory = look_at(project, memory, now, data=True)
    assert asked.count(True) == 2


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"corn": "0 3 * * 1"}, "adapters.support.retrain.corn: unknown key; did you mean 'cron'?"),
        ({"cron": "61 * * * *"}, "adapters.support.retrain.cron: '61 * * * *' is not a valid schedule"),
        ({"cron": "weekly"}, "adapters.support.retrain.cron: expected five fields"),
        ({"cron": "@daily", "timezone": "Mars/Base"}, "adapters.support.retrain.timezone: unknown time zone"),
        ({"data": "perhaps"}, "adapters.support.retrain.data: Input should be a valid boolean"),
    ],
)
def test_an_invalid_block_is_reported_and_stops_nothing_else(project, block, said):
    _, problems, _ = look_at(project, {}, 0, **block)
    assert any(said in problem for problem in problems)
    definitions = build_definitions(project.root)
    assert list(definitions.schedules or ()) == []
    project.run("dvc", "repro")


def test_a_schedule_starts_the_adapter_it_is_of(project):
    project.set(cron="0 3 * * 1", timezone="Europe/Berlin")
    definitions = build_definitions(project.root)
    (schedule,) = definitions.schedules
    assert (schedule.name, schedule.cron_schedule, schedule.execution_timezone) == (
        "retrain_support",
        "0 3 * * 1",
        "Europe/Berlin",
    )
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    (request,) = schedule.evaluate_tick(dg.build_schedule_context(repository_def=definitions.get_repository_def())).run_requests
    assert request.partition_key == "support"


def test_a_failed_delivery_leaves_the_notice(project, instance):
    project.rows("day-2", "two")
    retrain(project, instance)
    (project.root / "notifications.yaml").write_text("receivers: {ops: {webhook: {url: 'http://127.0.0.1:9'}}}")
    assert outbox.deliver(project.root).waiting == 1


def test_missing_git_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FinelineError, match="git cannot be started"):
        git(tmp_path, "status")


def test_reports_of_the_worktree_are_shown_from_the_worktree(project, instance):
    project.rows("day-2", "two")
    result = retrain(project, instance)
    handled = next(
        event for event in result.all_events if event.event_type_value == "STEP_OUTPUT" and event.step_key == "train"
    )
    digest = handled.step_output_data.metadata["digest"].value
    root = worktree.Worktree(project.root, "support").root
    assert digest == reports.read(root / layout.adapter("support") / "artifact.json")["digest"]
