"""The stage on a real, tiny model: a better adapter passes, one that does nothing does not, a damaged one fails."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from fineline import artifacts
from fineline.artifacts import code, reports
from fineline.errors import FinelineError, InputError
from fineline.evaluate import arms
from fineline.inference.packs import Pack
from fineline.models import loading
from fineline.project import layout
from fineline.project.versions import STAGES
from fineline.stages import base, curate, evaluate, ingest, plan, train
from tests.conftest import pin, small_params, write_project

RULES = {"must_improve": {"target_gold": 0.0}, "must_not_regress": {"target_gold": 0.1}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_base):
    """A project up to its trained adapter."""
    directory = tmp_path_factory.mktemp("trained")
    params = small_params(tiny_base)
    params["adapters"]["home"]["train"]["epochs"] = 8
    params["adapters"]["home"]["evaluate"] |= {"holdout": 0.0, "gate": RULES, "safety": ["injection"]}
    write_project(directory, params)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        base.run("tiny")
        for stage in (ingest, curate, plan, train):
            stage.run("home")
    return directory


@pytest.fixture
def home(trained, tmp_path, monkeypatch):
    """A copy of the project; it is the working directory."""
    shutil.copytree(trained, tmp_path / "home", ignore=shutil.ignore_patterns(".fineline"))
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def policy(**evaluate):
    file = Path("params.yaml")
    params = yaml.safe_load(file.read_text())
    params["adapters"]["home"]["evaluate"] |= evaluate
    file.write_text(yaml.safe_dump(params))


def change_adapter(change, target=None):
    """Make another adapter out of the trained one by changing its weights."""
    directory = layout.adapter("home")
    record = artifacts.read(directory)
    weights = {name: change(name, weight) for name, weight in load_file(directory / "adapter_model.safetensors").items()}
    config = (directory / "adapter_config.json").read_text()
    with artifacts.create(
        target or directory,
        kind=record.kind,
        name=record.name,
        stage="train",
        inputs=record.inputs,
        parameters=record.parameters,
    ) as building:
        save_file(weights, building / "adapter_model.safetensors")
        (building / "adapter_config.json").write_text(config)


def noisy(name, weight):
    torch.manual_seed(len(name))
    return weight + 3 * torch.randn_like(weight)


def judged():
    evaluate.run("home")
    return reports.read(Path("reports/home/gate.json"))


def rule(decision, kind, measure):
    (found,) = (entry for entry in decision["rules"] if (entry["rule"], entry["measure"]) == (kind, measure))
    return found


def test_a_better_adapter_passes_and_leaves_its_evidence(home):
    decision = judged()
    assert decision["verdict"] == "pass"
    assert {arm["kind"] for arm in decision["arms"].values()} == {"base", "adapter"}
    assert set(decision["suites"]) == {"target_generation", "target_gold", "target_choice", "safety_injection", "greetings"}
    assert decision["noise"]["flips"] == 0
    assert decision["noise"]["largest"] < 1e-3
    evidence = Path("reports/home/evaluation")
    samples = {arm: reports.read_lines(evidence / "samples" / f"{arm}.jsonl") for arm in ("base", "candidate")}
    assert decision["items"] == len(samples["base"]) == len(samples["candidate"])
    for name in ("table.md", "flips.md", "differences.csv", "forest.svg", "speed.json"):
        assert (evidence / name).stat().st_size
    assert "NaN" not in Path("reports/home/gate.json").read_text()


def test_an_adapter_added_to_the_weights_scores_the_same_and_leaves_the_base_unchanged(home):
    pair = arms.Arms(arms.Subject.verified(layout.base("tiny")), arms.Subject.verified(layout.adapter("home")))
    pair.precision = "fp32"
    pack = Pack()
    numbers = pack.ask(pack.add(tuple(range(3, 40))), tuple(range(4, 41)))

    def scores(arm, added):
        pair.added = added
        with pair.arm(arm).engine() as engine:
            return engine.score(None, pack).scores[numbers]

    base, separate = scores(arms.BASE, False), scores(arms.CANDIDATE, False)
    added = scores(arms.CANDIDATE, True)
    assert pair.dequantized
    assert abs(added - separate).max() < 1e-4 < abs(separate - base).max()
    assert (scores(arms.BASE, True) == base).all()
    assert (scores(arms.CANDIDATE, True) == added).all()


def test_an_adapter_that_does_nothing_does_not_pass(home):
    change_adapter(lambda name, weight: torch.zeros_like(weight) if "lora_B" in name else weight)
    decision = judged()
    assert decision["verdict"] in ("inconclusive", "fail")
    assert rule(decision, "must_improve", "target_gold")["verdict"] in ("inconclusive", "fail")
    assert rule(decision, "must_not_regress", "target_gold")["difference"] == 0


def test_an_adapter_with_large_random_weights_fails(home):
    draw = torch.Generator().manual_seed(0)
    change_adapter(
        lambda name, weight: 3 * torch.randn(weight.shape, generator=draw).to(weight.dtype) if "lora_B" in name else weight
    )
    policy(gate={"must_not_regress": {"target_gold": 0.001}})
    decision = judged()
    assert decision["verdict"] == "fail"
    assert rule(decision, "must_not_regress", "target_gold")["verdict"] == "fail"
    assert "the drop exceeds 0.001 bits a byte (95% confidence)" in rule(decision, "must_not_regress", "target_gold")["reason"]


def test_an_adapter_whose_scores_are_not_numbers_fails(home):
    change_adapter(lambda name, weight: torch.full_like(weight, torch.nan))
    decision = judged()
    assert decision["verdict"] == "fail"
    assert "are not numbers" in rule(decision, "must_improve", "target_gold")["reason"]
    assert decision["scores"]["candidate"]["target_gold"] is None
    assert "NaN" not in Path("reports/home/gate.json").read_text()


def test_a_challenger_damaged_by_noise_fails_against_the_champion(home):
    champion = home / "releases" / "one"
    change_adapter(lambda name, weight: weight, champion)
    digest = artifacts.read(champion).digest
    change_adapter(noisy)
    policy(champion={"path": "releases/one", "digest": digest}, gate={"champion": {"target_gold": 0.1}})
    decision = judged()
    assert decision["arms"]["champion"] == {"kind": "adapter", "digest": digest}
    entry = rule(decision, "champion", "target_gold")
    assert (entry["verdict"], entry["against"]) == ("fail", "champion")
    assert Path("reports/home/evaluation/samples/champion.jsonl").exists()


def test_a_champion_that_is_not_the_one_named_is_refused(home):
    policy(champion={"path": "models/adapters/home", "digest": f"sha256:{'0' * 64}"})
    with pytest.raises(
        InputError, match=r"adapters.home.evaluate.champion: models/adapters/home is sha256:\w+, but params.yaml names"
    ):
        evaluate.run("home")


def test_another_policy_is_judged_without_loading_a_model(home, monkeypatch):
    before = judged()
    policy(gate={"must_improve": {"target_gold": 100.0}})

    def loaded(*_, **__):
        raise AssertionError("a model was loaded although its scores are cached")

    monkeypatch.setattr(loading, "base_model", loaded)
    after = judged()
    assert after["verdict"] == "fail"
    assert after["scores"] == before["scores"]


def change_curated(file, change):
    """Change a file of the curated artifact, and record it as curation would have."""
    directory = layout.curated("home")
    record = artifacts.read(directory)
    others = {path.name: path.read_text() for path in directory.iterdir() if path.name not in (file, "artifact.json")}
    content = change((directory / file).read_text())
    with artifacts.create(
        directory,
        kind=record.kind,
        name=record.name,
        stage="curate",
        inputs=record.inputs,
        parameters=record.parameters,
    ) as building:
        for name, text in {**others, file: content}.items():
            (building / name).write_text(text)


def test_the_inputs_are_the_rows_of_the_three_splits_and_nothing_else(home):
    before = evaluate.read("home")
    assert {split: len(found) for split, found in before.splits.items()} == {
        split: len(reports.read_lines(layout.curated("home") / f"{split}.jsonl")) for split in ("train", "validation", "test")
    }
    for file in {path.name for path in layout.curated("home").iterdir()} - {*layout.JUDGING_ROWS, "artifact.json"}:
        change_curated(file, lambda text: text + "\n")
        assert evaluate.read("home").data.digest == before.data.digest, file
    assert artifacts.read(layout.curated("home")).digest != before.data.digest
    change_curated("validation.jsonl", lambda text: "".join(text.splitlines(keepends=True)[1:]))
    assert evaluate.read("home").data.digest != before.data.digest


def test_left_out_rows_do_not_change_the_data_of_the_verdict(home):
    before = judged()["data"]
    change_curated("left_out.jsonl", lambda text: text + json.dumps({"id": "x", "reason": "duplicate"}) + "\n")
    assert judged()["data"] == before


def scored(capsys):
    """Evaluate, and return the arms and tasks of which scores were computed."""
    capsys.readouterr()
    judged()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith("items")]
    return {line.split()[0] for line in lines}


def test_cached_scores_are_used_after_a_change_of_code(home, monkeypatch, capsys):
    assert scored(capsys) == {"base", "candidate"}
    monkeypatch.setattr(code, "digest", lambda *_, **__: f"sha256:{'0' * 64}")
    assert scored(capsys) == set()


def test_cached_scores_are_not_used_after_the_stage_version_changed(home, monkeypatch, capsys):
    assert scored(capsys) == {"base", "candidate"}
    monkeypatch.setitem(STAGES, "evaluate", STAGES["evaluate"] + 1)
    assert scored(capsys) == {"base", "candidate"}


def test_cached_scores_are_not_used_after_a_library_changed(home, monkeypatch, capsys):
    assert scored(capsys) == {"base", "candidate"}
    original = arms.importlib.metadata.version
    monkeypatch.setattr(arms.importlib.metadata, "version", lambda name: "0.0" if name == "rouge_score" else original(name))
    assert scored(capsys) == {"base", "candidate"}


def test_a_changed_suite_is_scored_again_for_every_arm(home, capsys):
    judged()
    items = home / "suites/greetings/items.jsonl"
    items.write_text(items.read_text().replace("good evening", "good night"))
    pin(items.parent)
    capsys.readouterr()
    judged()
    printed = [line for line in capsys.readouterr().out.splitlines() if line.endswith("items")]
    assert [line.split(":")[0].split()[0] for line in printed] == ["base", "candidate"]
    assert all("greetings" in line for line in printed)


def test_an_interrupted_run_resumes(home, monkeypatch, capsys):
    from fineline.inference.scorer import Scorer

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "generate_until", stopped)
        policy(target={"metrics": ["gold", "exact_match"], "choice_field": "intent", "max_new_tokens": 8})
        with pytest.raises(KeyboardInterrupt):
            evaluate.run("home")
    assert not Path("reports/home/gate.json").exists()
    assert judged()["verdict"] == "pass"


def test_a_suite_that_the_adapter_was_trained_on_is_refused(home):
    row = reports.read_lines(layout.curated("home") / "train.jsonl")[0]
    question = row["messages"][-2]["content"]
    items = home / "suites/greetings/items.jsonl"
    lines = items.read_text().splitlines()
    lines[0] = json.dumps({"question": question, "choices": ["a", "b", "c"], "answer": 0, "cluster": "x"})
    items.write_text("\n".join(lines) + "\n")
    pin(items.parent)
    with pytest.raises(
        InputError, match=r"train.jsonl:\d+: the row contains the item greetings#0, so the adapter would be judged on"
    ):
        evaluate.run("home")


def test_an_adapter_of_another_base_is_refused(home):
    record = json.loads((layout.adapter("home") / "artifact.json").read_text())
    record["inputs"]["base"]["digest"] = f"sha256:{'1' * 64}"
    (layout.adapter("home") / "artifact.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="cannot be compared on the same prompts"):
        evaluate.run("home")


def test_a_base_whose_scores_are_not_numbers_stops_the_evaluation(home, monkeypatch):
    original = loading.base_model

    def broken(*arguments, **keys):
        model = original(*arguments, **keys)
        model.model.norm.weight.data.fill_(torch.nan)
        return model

    monkeypatch.setattr(loading, "base_model", broken)
    with pytest.raises(FinelineError, match="scores of the base are not numbers"):
        evaluate.run("home")
    assert not Path("reports/home/gate.json").exists()


def test_a_rule_on_an_unknown_measure_is_refused_before_a_model_is_loaded(home):
    policy(gate={"must_not_regress": {"greetings_gold": 0.1}})
    with pytest.raises(
        InputError, match=r"adapters.home.evaluate.gate.must_not_regress: unknown measure 'greetings_gold'; accepted: "
    ):
        evaluate.run("home")
