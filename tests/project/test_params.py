"""What params.yaml accepts, and the messages about what it does not."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fineline.adapters.methods import METHODS
from fineline.errors import InputError
from fineline.project import params
from tests.conftest import ROOT, small_params


def load(tmp_path: Path, content: dict | str) -> params.Params:
    file = tmp_path / "params.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return params.load(file)


@pytest.fixture
def content() -> dict:
    return small_params(Path("base"))


def test_the_shipped_file_is_accepted():
    assert "home-en" in params.load(ROOT / "params.yaml").adapters


@pytest.mark.parametrize(
    ("place", "typo", "meant"),
    [
        (("adapters", "home", "train"), "lerning_rate", "learning_rate"),
        (("adapters", "home", "curate", "split"), "tests", "test"),
        (("adapters", "home", "evaluate", "gate"), "must_not_regres", "must_not_regress"),
        (("adapters", "home"), "exports", "export"),
        (("bases", "tiny"), "licence", "license"),
    ],
)
def test_an_unknown_key_is_refused_with_its_path_and_the_nearest_key(tmp_path, content, place, typo, meant):
    block = content
    for part in place:
        block = block[part]
    block[typo] = 1
    with pytest.raises(InputError) as refusal:
        load(tmp_path, content)
    assert f"{'.'.join(place)}.{typo}: unknown key; did you mean {meant!r}?" in str(refusal.value)


def test_a_key_near_to_nothing_is_answered_with_all_accepted_ones(tmp_path, content):
    content["adapters"]["home"]["export"] = {"zzz": 1}
    with pytest.raises(InputError, match=r"export\.zzz: unknown key; accepted: precision"):
        load(tmp_path, content)


def test_every_problem_is_reported_at_once(tmp_path, content):
    content["adapters"]["home"]["train"] = {"rank": 0, "epochz": 1}
    with pytest.raises(InputError) as refusal:
        load(tmp_path, content)
    assert "train.rank" in str(refusal.value)
    assert "train.epochz" in str(refusal.value)


@pytest.mark.parametrize("name", ["Home", "home_en", "home.en", "home@en", "-home", "home-", "home en", "1home", ""])
def test_a_name_that_dvc_or_dagster_cannot_hold_is_refused(tmp_path, content, name):
    content["adapters"] = {name: content["adapters"]["home"]}
    with pytest.raises(InputError, match="is not a valid name"):
        load(tmp_path, content)


def test_a_duplicate_key_is_refused_with_its_line(tmp_path):
    with pytest.raises(InputError, match=r"(?s)duplicate key 'a'.*line 3"):
        load(tmp_path, "bases:\n  a: {}\n  a: {}\nadapters: {}\n")


def test_an_unknown_base_is_answered_with_the_nearest(tmp_path, content):
    content["adapters"]["home"]["base"] = "tny"
    with pytest.raises(InputError, match=r"adapters\.home\.base: there is no base 'tny'; did you mean 'tiny'"):
        load(tmp_path, content)


def test_a_base_with_two_origins_is_refused(tmp_path, content):
    content["bases"]["tiny"]["hub"] = {"repo": "a/b", "revision": "0" * 40}
    with pytest.raises(InputError, match=r"bases\.tiny: exactly one of wheel, hub, path"):
        load(tmp_path, content)


def test_a_branch_name_is_refused_as_revision(tmp_path, content):
    content["bases"]["tiny"] = {"owner": "o", "license": "l", "hub": {"repo": "a/b", "revision": "main"}}
    with pytest.raises(InputError, match=r"hub\.revision"):
        load(tmp_path, content)


@pytest.mark.parametrize("rule", ["must_improve", "must_not_regress", "champion", "floor"])
def test_a_gate_on_an_unknown_measure_is_refused(tmp_path, content, rule):
    content["adapters"]["home"]["evaluate"]["gate"] = {rule: {"target_exact": 0.5}}
    with pytest.raises(InputError, match=f"gate.{rule} names 'target_exact', but the measures are greetings, target_choice"):
        load(tmp_path, content)


def test_measures_of_suites_pools_and_probes_may_be_named(tmp_path, content):
    content["adapters"]["home"]["evaluate"] |= {
        "guards": ["greetings", "lm_eval/arc_easy"],
        "safety": ["injection"],
        "pools": {"all": ["greetings", "arc_easy"]},
        "gate": {"must_not_regress": {"all": 0.1, "greetings_gold": 0.1}, "info": ["safety_injection"]},
    }
    gate = load(tmp_path, content).adapter("home").evaluate.gate
    assert list(gate.rules()) == [
        ("must_not_regress", "all"),
        ("must_not_regress", "greetings_gold"),
        ("info", "safety_injection"),
    ]


def test_a_pool_of_an_unknown_measure_is_refused(tmp_path, content):
    content["adapters"]["home"]["evaluate"]["pools"] = {"all": ["greetings", "greeting"]}
    with pytest.raises(InputError, match="the pool 'all' names 'greeting', but the measures are"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ({"metrics": ["regex"]}, "`pattern` is required by the metric `regex`"),
        ({"pattern": "a"}, "`pattern` is required by the metric `regex`, and accepted with no other"),
        ({"metrics": ["regex"], "pattern": "("}, "not a valid regular expression"),
        ({"metrics": []}, "at least 1 item"),
    ],
)
def test_a_target_that_cannot_be_measured_is_refused(tmp_path, content, target, complaint):
    content["adapters"]["home"]["evaluate"]["target"] = target
    content["adapters"]["home"]["evaluate"]["gate"] = {}
    with pytest.raises(InputError, match=complaint):
        load(tmp_path, content)


def test_a_missing_file_and_broken_yaml_are_input_errors(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        params.load(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="line 1"):
        load(tmp_path, "bases: [")


def test_an_unknown_adapter_is_answered_with_the_nearest(tmp_path, content):
    with pytest.raises(InputError, match="there is no adapter 'hom'; did you mean 'home'"):
        load(tmp_path, content).adapter("hom")


def test_british_spellings_of_older_files_are_read_as_the_american_ones(tmp_path, content):
    content["adapters"]["home"]["curate"]["privacy"] = {
        "default": "pseudonymise",
        "kinds": {"email": "pseudonymise", "phone": "drop"},
        "recognisers": ["package.module:function"],
    }
    privacy = load(tmp_path, content).adapter("home").curate.privacy
    assert privacy.model_dump(exclude_unset=True) == {
        "default": "pseudonymize",
        "kinds": {"email": "pseudonymize", "phone": "drop"},
        "recognizers": ["package.module:function"],
    }


def test_recognizers_in_both_spellings_are_refused(tmp_path, content):
    content["adapters"]["home"]["curate"]["privacy"] = {"recognizers": [], "recognisers": ["a:b"]}
    with pytest.raises(InputError, match=r"privacy\.recognisers: unknown key; did you mean 'recognizers'"):
        load(tmp_path, content)


def test_an_unknown_method_is_answered_with_the_nearest(tmp_path, content):
    content["adapters"]["home"]["train"] = {"method": "qlra"}
    with pytest.raises(InputError, match=r"train\.method: unknown method; did you mean 'qlora'\? \(found 'qlra'\)"):
        load(tmp_path, content)


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_every_method_of_the_registry_is_accepted(tmp_path, content, method):
    content["adapters"]["home"]["train"] = {"method": method}
    assert load(tmp_path, content).adapter("home").train.method == method


def test_parameters_are_checked_without_importing_torch():
    heavy = "{'torch', 'peft', 'transformers'} & set(sys.modules)"
    script = f"import sys; from fineline.project import params; sys.exit(str({heavy}))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert answer.stderr.strip() == "set()"


def test_a_chat_block_where_dvc_does_not_see_it_is_refused_with_its_place(tmp_path, content):
    (adapter,) = list(content["adapters"].values())[:1]
    adapter["chat"] = {"reasoning": "mask"}
    with pytest.raises(InputError, match="belongs to `curate`"):
        load(tmp_path, content)
    adapter["curate"] = (adapter.get("curate") or {}) | {"chat": adapter.pop("chat")}
    assert next(iter(load(tmp_path, content).adapters.values())).curate.chat.reasoning == "mask"


def test_a_wrong_block_of_another_adapter_does_not_stop_work_on_this_one(tmp_path, content):
    content["adapters"]["other"] = {**content["adapters"]["home"], "train": {"trian": 1}}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert list(params.load_for("home", file).adapters) == ["home"]
    assert params.load_for("tiny", file).base("tiny") == params.load_for("home", file).base("tiny")
    for name in ("other", "unknown"):
        with pytest.raises(InputError, match="trian: unknown key"):
            params.load_for(name, file)
    content["bases"]["tiny"]["licence"] = 1
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(InputError, match="licence: unknown key"):
        params.load_for("home", file)
