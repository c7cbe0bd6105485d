"""The technical documentation: one list of fields, as Markdown and as JSON, each with the records that it rests on."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from fineline.artifacts import reports
from fineline.documents import sections, technical
from fineline.documents.gathering import gather
from fineline.project import layout
from tests.documents.conftest import NAME, TICKETS, Make

SUBJECTS = ["general", "development", "data", "compute", "energy", "evaluation", "modification", "licenses"]


def _pack(approvals: tuple[dict[str, str], ...] = ()) -> tuple[dict[str, Any], str]:
    records = gather(NAME)
    found = sections.sections(records, approvals)
    return technical.as_json(records, found), technical.as_markdown(records, found)


def _value(pack: dict[str, Any], field: str) -> Any:
    return next(one["value"] for section in pack["sections"] for one in section["fields"] if one["id"] == field)


def test_all_subjects_are_there(make: Make) -> None:
    make()
    pack, _ = _pack()
    assert [section["id"] for section in pack["sections"]] == SUBJECTS
    assert all(section["fields"] for section in pack["sections"])


def test_every_field_names_records_that_exist_with_their_digest(make: Make) -> None:
    make()
    pack, page = _pack()
    for section in pack["sections"]:
        for field in section["fields"]:
            assert field["records"], field["id"]
            for record in field["records"]:
                assert record["sha256"] == hashlib.sha256(Path(record["file"]).read_bytes()).hexdigest()
                assert f"| {record['file']} | {record['sha256']} |" in page


def test_the_page_has_the_fields_of_the_json(make: Make) -> None:
    make()
    pack, page = _pack()
    titles = re.findall(r"^### (.*)$", page, re.MULTILINE)
    assert titles == [field["title"] for section in pack["sections"] for field in section["fields"]]


@pytest.mark.parametrize(
    ("field", "key", "expected"),
    [
        ("flops", "flops", 6.0e9),
        ("base_share", "share", 1e-3),
        ("training_time", "measured_seconds", 77.5),
        ("hardware", "device", "Some GPU"),
        ("energy", "energy_wh", None),
        ("architecture", "base_parameters", 1000),
        ("architecture", "trained_parameters", 16),
        ("modality", "context_tokens", 128),
        ("methodology", "rank", 8),
        ("training_result", "tokens", 12345),
        ("verdict", "candidate", "pass"),
        ("downstream_modifier", "significant", False),
        ("license", "base", "apache-2.0"),
    ],
)
def test_a_field_has_the_value_of_its_record(make: Make, field: str, key: str, expected: object) -> None:
    make()
    assert _value(_pack()[0], field)[key] == expected


def test_the_funnel_has_rows_in_and_out(make: Make) -> None:
    make()
    assert _value(_pack()[0], "curation") == [
        {"step": "rejected", "rows_in": 100, "left_out": 4, "rows_out": 96},
        {"step": "exact duplicates", "rows_in": 96, "left_out": 6, "rows_out": 90},
    ]


def test_data_has_sources_and_what_was_unsuitable(make: Make) -> None:
    make()
    pack, _ = _pack()
    assert _value(pack, "sources")[0] | {"license": "cc-by-4.0", "rows": 100} == _value(pack, "sources")[0]
    found = _value(pack, "unsuitable")
    assert "3 rows shared text with 1 suites that evaluate the model." in found
    assert "Names may remain." in found  # a limit of the data's own description
    assert any("bias of the rows was not measured" in sentence for sentence in found)


def test_results_are_those_of_every_arm(make: Make) -> None:
    project = make()
    results = _value(_pack()[0], "results")
    assert [row["measure"] for row in results] == [rule["measure"] for rule in project.rules]
    assert results[0]["exported"] == project.rules[0]["candidate"]
    assert results[0]["lower"] == project.rules[0]["lower"]


def test_the_pack_changes_with_its_record(make: Make) -> None:
    project = make()
    before, _ = _pack()
    project.plan["chosen"]["flops"] = 1.25e10
    project.write()
    after, page = _pack()
    assert _value(before, "flops")["flops"] == 6.0e9
    assert _value(after, "flops")["flops"] == 1.25e10
    assert "1.25e+10" in page


def test_the_files_of_a_source_are_listed_up_to_a_number_and_then_counted(make: Make) -> None:
    files = [{"path": f"{number}.jsonl", "size": 10, "sha256": "ab" * 32, "rows": 4} for number in range(25)]
    make(parts={"tickets": TICKETS | {"files": files}})
    listed = _value(_pack()[0], "source_files")
    assert len(listed) == 21
    assert listed[-1] == {"source": "tickets", "file": "5 more, see parts.json of the raw rows", "bytes": 50}


def test_text_of_records_cannot_break_out(make: Make) -> None:
    def shape(page: str) -> list[str]:
        tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(page)
        kinds = [token.type for token in tokens] + [child.type for token in tokens for child in token.children or []]
        return sorted(kind for kind in kinds if kind not in ("text", "text_special"))

    evil = "x` | <script>alert(1)</script>\n---\n# owned\n| a | b |\n![i](http://evil.example) \u202e```"
    make(license="unheard of")
    plain = shape(_pack()[1])
    project = make(
        owner=evil,
        license=evil,
        settings={"method": "lora", "rank": evil, "epochs": 2.0, "batch_size": 4, "accumulation": 2, "keep": evil},
    )
    project.plan["device"]["name"] = project.training["steps"] = evil
    project.write()
    assert shape(_pack()[1]) == plain


def test_verdicts_are_those_of_the_reports(make: Make) -> None:
    make(verdict="inconclusive", gate_verdict="fail")
    verdicts = {"candidate": "inconclusive", "adapter": "fail", "merged": "inconclusive", "exported": "inconclusive"}
    assert _value(_pack()[0], "verdict") == verdicts


def test_code_and_libraries_are_those_of_the_provenance_file(make: Make) -> None:
    make()
    pack, _ = _pack()
    found = _value(pack, "code")
    assert found["code of training"] == "sha256:" + "c" * 64
    assert (found["commit of training"], found["libraries"]) == ("f" * 40, {"torch": "2.9.0"})
    assert found["code of merge"] == "not recorded: the provenance file of its stage is missing"


def test_a_provenance_file_of_another_version_is_not_used(make: Make) -> None:
    make()
    file = layout.provenance("train", NAME)
    content = json.loads(file.read_text(encoding="utf-8"))
    reports.write(file, content | {"artifacts": {layout.adapter(NAME).as_posix(): "sha256:0"}})
    assert _value(_pack()[0], "code")["code of training"].startswith("not recorded")


def test_bounds_at_infinity_are_not_known(make: Make) -> None:
    project = make()
    project.rules[0]["lower"] = float("-inf")
    project.write()
    assert _value(_pack()[0], "results")[0]["lower"] is None


def test_outside_evidence_is_listed(make: Make) -> None:
    make()
    records = gather(NAME)
    finding = {"name": "red-team", "verdict": "pass", "reason": "held", "tool": "garak", "by": "A.", "made": "2026-01-01"}
    assert str(_value(_pack()[0], "evidence")).startswith("None was added")
    records.reports["candidate"]["evidence"] = [finding]
    pack = technical.as_json(records, sections.sections(records))
    assert _value(pack, "evidence") == [finding]


def test_approvals_are_listed_with_their_fields(make: Make) -> None:
    make()
    pack, page = _pack(({"person": "A. Person", "decision": "approve", "note": "not for readers"},))
    assert pack["sections"][-1]["id"] == "approvals"
    assert _value(pack, "approvals")[0]["person"] == "A. Person"
    assert "not for readers" not in page + str(pack)


def test_it_contains_no_date_and_no_text_of_a_row(make: Make) -> None:
    make()
    pack, page = _pack()
    assert "very words" not in page + str(pack)
    assert "not legal advice" in page
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", page)


def test_a_result_that_an_upgrade_accepted_is_stated(make: Make) -> None:
    project = make()
    assert all(field["id"] != "accepted" for section in _pack()[0]["sections"] for field in section["fields"])
    project.accept()
    pack, page = _pack()
    assert _value(pack, "accepted") == [f"train@{NAME}: made by train version 1, accepted at the upgrade to 2"]
    assert f"From `fineline.lock`, `{layout.provenance('train', NAME)}`." in page
