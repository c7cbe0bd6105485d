"""fineline init and fineline retire: one command each, which keep what others wrote in params.yaml."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest
import yaml

from fineline import artifacts, cli
from fineline.errors import InputError
from fineline.models import bases
from fineline.project import layout, params
from fineline.scaffold import adapter
from fineline.scaffold.adapter import Base
from tests import in_process
from tests.conftest import small_params, write_lines, write_project
from tests.governance.conftest import NAME, world  # noqa: F401


@pytest.fixture
def project(tmp_path, tiny_base, monkeypatch):
    """A project with one adapter, and comments in its params.yaml; it is the working directory."""
    write_project(tmp_path, small_params(tiny_base))
    file = tmp_path / "params.yaml"
    file.write_text(f"# ours\n{file.read_text()}# the end\n")
    write_lines(tmp_path / "tickets.jsonl", [{"prompt": f"Question {n}?", "completion": f"Answer {n}."} for n in range(40)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fineline(monkeypatch, capsys):
    """Runs a command; its exit code, output and error output."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["fineline", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return run


def init(fineline, name="support", data="tickets.jsonl", base="tiny", *more):
    return fineline("init", name, "--data", data, "--base", base, "--owner", "support@example.com", *more)


def test_an_adapter_is_added_in_one_command(project, fineline):
    before = (project / "params.yaml").read_text()
    code, out, err = init(fineline)
    assert (code, err) == (0, "")
    assert "tickets.jsonl: 1 file, about 40 rows; of the first 40, all usable" in out
    assert "license apache-2.0 (of tiny; --license names another)" in out
    assert "forecast: " in out
    assert "next: dvc repro plan@support" in out
    text = (project / "params.yaml").read_text()
    assert text.startswith("# ours\n")
    assert "# the end" in text
    assert editing_leaves(before, text)
    adapter = params.load().adapter("support")
    assert (adapter.owner, adapter.base, adapter.source.path) == ("support@example.com", "tiny", "tickets.jsonl")


def editing_leaves(before, after):
    """Every line of the file is still there, in order."""
    lines = iter(after.splitlines())
    return all(any(line == other for other in lines) for line in before.splitlines())


def test_a_new_adapter_can_be_planned_at_once(project, fineline):
    init(fineline, "support", "tickets.jsonl", "tiny", "--license", "mit")
    for stage, name in (("base", "tiny"), ("ingest", "support"), ("curate", "support"), ("plan", "support")):
        answer = in_process.stage(stage, name)
        assert answer.returncode == 0, answer.stderr
    assert json.loads((project / layout.reports("support") / "plan.json").read_text())["recommended"]


def test_rows_that_cannot_be_used_are_counted_and_not_quoted(project, fineline):
    with (project / "tickets.jsonl").open("a") as file:
        file.write('{"frage": "secret text"}\nbroken\n')
    code, out, _ = init(fineline)
    assert code == 0
    assert "of the first 42, 40 usable" in out
    assert "1 times: " in out
    assert "secret text" not in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("Support Team",), "'support-team' would do"),
        (("support_2",), "not a usable name"),
        (("home",), "there is an adapter 'home' already"),
        (("tiny",), "'tiny' is a base"),
        (("support", "tickets.csv"), "tickets.csv: no such file"),
        (("support", "/etc/hostname"), "is outside of the project"),
        (("support", "tickets.jsonl", "tinny"), "did you mean 'tiny'?"),
        (("support", "useless.jsonl"), "not one of the first 1 rows can be used"),
        (("support", "empty.jsonl"), "it is empty"),
    ],
)
def test_an_adapter_that_cannot_be_added_is_reported_and_nothing_is_written(project, fineline, arguments, complaint):
    (project / "useless.jsonl").write_text('{"a": 1}\n')
    (project / "empty.jsonl").write_text("")
    before = (project / "params.yaml").read_text()
    code, _, err = init(fineline, *arguments)
    assert code == 2
    assert complaint in err
    assert (project / "params.yaml").read_text() == before
    assert sorted(path.name for path in project.glob(".params*")) == []
    assert not (project / "evidence" / "support").exists()


def test_the_size_of_a_large_source_is_estimated(tmp_path):
    write_lines(tmp_path / "a.jsonl", [{"prompt": "p" * 50, "completion": "c" * 50} for _ in range(4000)])
    found = adapter.read_first_rows(tmp_path)
    assert found.looked_at == adapter.MOST_ROWS
    assert 3600 < found.estimated < 4400
    assert found.tokens == pytest.approx(100 / 3.5, abs=1)


def test_a_retired_adapter_is_removed_from_the_parameters(project, fineline):
    before = (project / "params.yaml").read_text()
    init(fineline)
    (project / layout.reports("support")).mkdir(parents=True)
    code, out, _ = fineline("retire", "support")
    assert code == 0
    assert "left for you to remove: reports/support" in out
    assert (project / "params.yaml").read_text() == before
    code, _, err = fineline("retire", "support")
    assert (code, "there is no adapter 'support'" in err) == (2, True)


def test_the_releases_of_a_retired_adapter_can_be_verified(world, fineline, tiny_base):  # noqa: F811
    world.ready()
    world.promote()
    content = small_params(tiny_base)
    content["adapters"] = {NAME: content["adapters"]["home"], "other": content["adapters"]["home"]}
    params.FILE.write_text(yaml.safe_dump(content))
    code, out, _ = fineline("retire", NAME)
    assert code == 0
    assert "still in use: production" in out
    assert "1 release stays" in out
    place = out.split("fineline verify ")[1].split("`")[0]
    code, out, err = fineline("verify", place)
    assert (code, err) == (0, "")


def test_an_edit_that_would_not_load_is_not_written(project):
    before = (project / "params.yaml").read_text()
    with pytest.raises(InputError):
        adapter.add_adapter("support", {"owner": "a"}, Base("tiny", "mit", None))
    assert (project / "params.yaml").read_text() == before


def test_a_base_in_a_directory_is_added_with_the_digest_of_its_files(project, tiny_base, fineline):
    shutil.copytree(tiny_base, project / "My_Model")
    code, out, err = init(fineline, "support", "tickets.jsonl", "My_Model", "--base-license", "mit")
    assert (code, err) == (0, "")
    assert "params.yaml: added bases.my-model, license mit" in out
    assert "forecast: " in out
    base = params.load().base("my-model")
    assert (base.path, base.license, base.owner) == ("My_Model", "mit", "support@example.com")
    assert base.digest == artifacts.digest(bases.manifest(tiny_base))
    assert params.load().adapter("support").base == "my-model"


def test_the_license_of_a_base_comes_from_its_card(project, tiny_base, fineline):
    shutil.copytree(tiny_base, project / "model")
    code, _, err = init(fineline, "support", "tickets.jsonl", "model")
    assert (code, "names no license; pass it with --base-license" in err) == (2, True)
    (project / "model" / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Model\n")
    code, out, _ = init(fineline, "support", "tickets.jsonl", "model")
    assert (code, "added bases.model, license apache-2.0" in out) == (0, True)


def test_a_base_on_the_hub_is_pinned_to_its_commit(monkeypatch, project):
    class Api:
        def model_info(self, repo):
            return SimpleNamespace(sha="0" * 40, card_data={"license": "apache-2.0"})

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    base = adapter.find_base("Qwen/Qwen3-4B", params.load(), "support", "a@example.com", None)
    assert base.name == "qwen3-4b"
    assert base.block["hub"] == {"repo": "Qwen/Qwen3-4B", "revision": "0" * 40}
    adapter.add_adapter("support", adapter.adapter_block("a@example.com", "mit", base.name, "tickets.jsonl"), base)
    assert params.load().base("qwen3-4b").hub.revision == "0" * 40


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("/no/such/model", "/no/such/model: no such directory; --base accepts a name under `bases:`"),
        ("empty", "empty: has no config.json; pass the directory of a model"),
    ],
)
def test_a_base_that_is_no_model_is_refused(project, fineline, base, expected):
    (project / "empty").mkdir()
    before = params.FILE.read_text()
    code, _, err = init(fineline, "support", "tickets.jsonl", base)
    assert (code, expected in err) == (2, True), err
    assert params.FILE.read_text() == before


def test_the_owner_is_by_default_that_of_git(project, fineline):
    subprocess.run("git init -q && git config user.email ada@example.com", shell=True, check=True)
    assert fineline("init", "support", "--data", "tickets.jsonl", "--base", "tiny")[0] == 0
    assert params.load().adapter("support").owner == "ada@example.com"


def test_without_an_owner_nothing_is_added(project, fineline, monkeypatch):
    monkeypatch.setattr("fineline.scaffold.new.git_address", lambda: None)
    code, _, err = fineline("init", "support", "--data", "tickets.jsonl", "--base", "tiny")
    assert (code, "no owner: pass --owner ADDRESS" in err) == (2, True)
    assert "support" not in params.load().adapters


def test_a_reserved_name_is_refused(project, fineline):
    code, _, err = init(fineline, "bases")
    assert (code, "reports/bases contains the reports of base models" in err) == (2, True)
    content = yaml.safe_load(params.FILE.read_text())
    content["adapters"]["bases"] = content["adapters"]["home"]
    params.FILE.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r"adapters\.bases: this name is taken, .*; rename the adapter"):
        params.load()


def test_a_base_cannot_have_the_name_of_the_adapter(project, tiny_base, fineline):
    shutil.copytree(tiny_base, project / "support")
    code, _, err = init(fineline, "support", "tickets.jsonl", "support", "--base-license", "mit")
    assert (code, "cannot be named 'support'" in err) == (2, True)
