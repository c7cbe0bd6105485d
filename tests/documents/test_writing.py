"""All documents in one directory: whole or not at all, the same bytes for the same records."""

import json
from pathlib import Path

import pytest

from fineline.documents.writing import write
from fineline.errors import InputError, Refused
from fineline.project import layout
from tests.documents.conftest import NAME, Make

FILES = [
    "README.md",
    "technical_documentation.md",
    "technical_documentation.json",
    "licenses.json",
    "bom.cdx.json",
    "dataset/README.md",
    "dataset/croissant.json",
]


def _bytes(files: list[Path]) -> list[bytes]:
    return [file.read_bytes() for file in files]


def test_every_document_is_written(make: Make) -> None:
    make()
    assert write(NAME, Path("out")) == [Path("out") / file for file in FILES]
    assert sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file()) == sorted(FILES)


def test_the_same_records_give_the_same_bytes(make: Make, tmp_path: Path) -> None:
    project = make()
    first = _bytes(write(NAME, Path("out")))
    project.write()
    assert _bytes(write(NAME, tmp_path / "elsewhere")) == first


def test_no_document_contains_the_directory_it_was_made_in(make: Make, tmp_path: Path) -> None:
    make()
    for content in _bytes(write(NAME, tmp_path / "out")):
        assert str(tmp_path).encode() not in content


def test_the_documents_of_the_data_are_copied_byte_for_byte(make: Make) -> None:
    make()
    write(NAME, Path("out"))
    for file in ("README.md", "croissant.json"):
        assert (Path("out/dataset") / file).read_bytes() == (layout.curated(NAME) / file).read_bytes()


def test_a_changed_document_of_the_data_is_refused(make: Make) -> None:
    make()
    (layout.curated(NAME) / "README.md").write_text("# Better data\n", encoding="utf-8")
    with pytest.raises(Refused, match=r"not the file that artifact\.json recorded"):
        write(NAME, Path("out"))
    assert not Path("out").exists()


def test_a_missing_record_leaves_the_directory_as_it_was(make: Make) -> None:
    make()
    write(NAME, Path("out"))
    before = Path("out/README.md").read_bytes()
    (layout.reports(NAME) / "gate.json").unlink()
    with pytest.raises(InputError, match=r"gate\.json: missing"):
        write(NAME, Path("out"))
    assert Path("out/README.md").read_bytes() == before


@pytest.mark.parametrize("key", ["steps", "seconds", "trained_parameters"])
def test_a_record_without_a_number_is_refused(make: Make, key: str) -> None:
    project = make()
    del project.training[key]
    project.write()
    with pytest.raises(InputError, match=f"a record lacks a value that the documents need .*'{key}'"):
        write(NAME, Path("out"))


def test_a_number_that_json_cannot_express_is_refused(make: Make) -> None:
    project = make()
    project.training["validation_loss"] = float("nan")
    project.write()
    with pytest.raises(InputError, match="a record lacks a value that the documents need"):
        write(NAME, Path("out"))


def test_a_file_in_the_place_of_the_directory_is_refused(make: Make) -> None:
    make()
    Path("out").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="out: expected a directory"):
        write(NAME, Path("out"))


def test_approvals_go_into_card_and_pack(make: Make) -> None:
    make()
    approval = {"person": "A. Person", "role": "r", "time": "t", "decision": "approve", "reason": "x", "entry": "e"}
    write(NAME, Path("out"), approvals=iter([approval]))
    assert "A. Person" in Path("out/README.md").read_text(encoding="utf-8")
    assert "A. Person" in Path("out/technical_documentation.md").read_text(encoding="utf-8")
    pack = json.loads(Path("out/technical_documentation.json").read_text(encoding="utf-8"))
    assert pack["sections"][-1]["fields"][0]["value"] == [approval]
