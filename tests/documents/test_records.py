"""Records that are missing, broken, changed or from another run are refused; nothing outside the project is read."""

import json
from pathlib import Path
from typing import Any

import pytest

from fineline.artifacts import reports
from fineline.documents.gathering import REPORTS, gather
from fineline.errors import InputError, Refused
from fineline.project import layout
from tests.documents.conftest import NAME, Make


def _changed(file: Path, **values: Any) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    reports.write(file, content | values)


@pytest.mark.parametrize("part", REPORTS)
def test_a_missing_report_is_refused_with_its_place_and_remedy(make: Make, part: str) -> None:
    make()
    (layout.reports(NAME) / f"{part}.json").unlink()
    with pytest.raises(InputError, match=rf"reports/{NAME}/{part}\.json: missing; run `dvc repro`"):
        gather(NAME)


@pytest.mark.parametrize(
    "directory", [layout.base("tiny"), layout.raw(NAME), layout.curated(NAME), layout.adapter(NAME), layout.merged(NAME)]
)
def test_a_missing_artifact_is_refused(make: Make, directory: Path) -> None:
    make()
    (directory / "artifact.json").unlink()
    with pytest.raises(InputError, match=f"{directory}/artifact.json: missing"):
        gather(NAME)


def test_without_a_lock_file_the_installed_packages_are_listed(make: Make) -> None:
    make()
    Path("requirements.lock").unlink()
    records = gather(NAME)
    assert "\ntorch==" in records.lock
    assert records.digests["requirements.lock"]


@pytest.mark.parametrize(
    ("part", "values", "problem"),
    [
        ("candidate", {"candidate": {"digest": "sha256:0"}}, "candidate.digest is sha256:0"),
        ("candidate", {"base": None}, "base.digest is missing"),
        ("plan", {"data": "sha256:0"}, "data is sha256:0"),
        ("curation", {"dataset": "sha256:0"}, "dataset is sha256:0"),
        ("gate", {"data": "sha256:0"}, "data is sha256:0"),
        ("merge", {"digest": "sha256:0"}, "digest is sha256:0"),
        ("gate", {"arms": {"candidate": {"digest": "sha256:0"}}}, "arms.candidate.digest is sha256:0"),
    ],
)
def test_reports_of_another_run_are_refused(make: Make, part: str, values: dict[str, Any], problem: str) -> None:
    make()
    _changed(layout.reports(NAME) / f"{part}.json", **values)
    with pytest.raises(InputError, match=rf"{part}\.json: {problem}, but .* is sha256:[0-9a-f]{{64}}; run `dvc repro`"):
        gather(NAME)


def test_an_artifact_made_from_another_one_is_refused(make: Make) -> None:
    make()
    file = layout.merged(NAME) / "artifact.json"
    inputs = json.loads(file.read_text(encoding="utf-8"))["inputs"]
    _changed(file, inputs=inputs | {"adapter": inputs["adapter"] | {"digest": "sha256:0"}})
    with pytest.raises(InputError, match=r"inputs\.adapter is sha256:0"):
        gather(NAME)


@pytest.mark.parametrize(("directory", "file"), [(layout.curated(NAME), "croissant.json"), (layout.raw(NAME), "parts.json")])
def test_a_changed_file_is_refused(make: Make, directory: Path, file: str) -> None:
    make()
    (directory / file).write_text("{}", encoding="utf-8")
    with pytest.raises(Refused, match=f"{file}: not the file that artifact.json recorded"):
        gather(NAME)


def test_a_list_of_files_that_is_not_of_the_digest_is_refused(make: Make) -> None:
    make()
    _changed(layout.merged(NAME) / "artifact.json", digest="sha256:" + "0" * 64)
    with pytest.raises(Refused, match="does not belong to the list of files"):
        gather(NAME)


@pytest.mark.parametrize("path", ["/etc", "../../elsewhere", "data/../../elsewhere"])
def test_inputs_outside_the_project_are_not_read(make: Make, path: str) -> None:
    make()
    file = layout.adapter(NAME) / "artifact.json"
    inputs = json.loads(file.read_text(encoding="utf-8"))["inputs"]
    _changed(file, inputs=inputs | {"base": inputs["base"] | {"path": path}})
    with pytest.raises(InputError, match=r"inputs\.base\.path leads out of the project"):
        gather(NAME)


@pytest.mark.parametrize("name", ["../other", "/etc", "Upper", ""])
def test_a_name_is_never_a_path(make: Make, name: str) -> None:
    make()
    with pytest.raises(InputError, match="is not a valid adapter name"):
        gather(name)


@pytest.mark.parametrize("content", ["[]", "not JSON", '"text"'])
def test_a_broken_report_is_refused(make: Make, content: str) -> None:
    make()
    (layout.reports(NAME) / "training.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"training\.json: (not valid JSON|expected a JSON object)"):
        gather(NAME)


def test_a_form_whose_name_is_a_path_is_refused(make: Make) -> None:
    project = make()
    _changed(layout.reports(NAME) / "export.json", forms=project.export["forms"] | {"../../x": {}})
    with pytest.raises(InputError, match="not of the form that its stage writes"):
        gather(NAME)


def test_every_file_that_was_read_has_its_digest(make: Make) -> None:
    make()
    records = gather(NAME)
    assert records.source("plan", "adapter")[0]["file"] == f"reports/{NAME}/plan.json"
    assert set(map(len, records.digests.values())) == {64}
    assert all(Path(file).is_file() for file in records.digests)


def test_the_purpose_of_a_suite_is_read_from_its_file(make: Make) -> None:
    make()
    suite = layout.SUITES / "everyday" / "suite.yaml"
    suite.parent.mkdir(parents=True)
    suite.write_text("purpose: Plain questions.\n", encoding="utf-8")
    assert gather(NAME).purposes == {"everyday": "Plain questions."}
