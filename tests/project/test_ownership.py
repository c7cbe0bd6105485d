"""Owner and license: of params.yaml, or of the record itself where that is older."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fineline.artifacts import Artifact
from fineline.errors import InputError
from fineline.project import params
from fineline.project.ownership import Ownership, ownership_by_role, ownership_of
from tests.conftest import small_params

MODELS = Ownership("models@example.com", "apache-2.0")
HOME = Ownership("home@example.com", "cc-by-4.0")


def record(kind, name):
    """Return a record without files."""
    return Artifact(kind, name, "sha256:0", [], {}, {})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(small_params(tmp_path)))
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("base", "tiny", MODELS),
        ("tokenizer", "tiny", MODELS),
        ("raw-data", "home", HOME),
        ("training-data", "home", HOME),
        ("adapter", "home", HOME),
        ("exported-model", "home/quantized", HOME),
    ],
)
def test_it_is_that_of_the_base_or_the_adapter(project, kind, name, expected):
    assert ownership_of(record(kind, name), params.load()) == expected


def test_older_records_have_their_own(project):
    older = replace(record("adapter", "home"), owner="then@example.com", license="mit")
    assert ownership_of(older, params.load()) == Ownership("then@example.com", "mit")


def test_older_records_need_no_params_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    older = replace(record("adapter", "home"), owner="then@example.com", license="mit")
    assert ownership_by_role({"adapter": older}) == {"adapter": Ownership("then@example.com", "mit")}
    with pytest.raises(InputError, match=r"params.yaml: cannot be read"):
        ownership_by_role({"adapter": record("adapter", "home")})


def test_the_project_may_be_elsewhere(project, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert ownership_by_role({"base": record("base", "tiny")}, project) == {"base": MODELS}


def test_an_unknown_adapter_is_refused(project):
    with pytest.raises(InputError, match="there is no adapter 'hom'"):
        ownership_of(record("adapter", "hom"), params.load())
