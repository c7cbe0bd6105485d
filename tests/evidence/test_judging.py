"""Evidence applied to one candidate."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from fineline import evidence
from fineline.errors import InputError
from tests.evidence.conftest import DIGEST

OTHER = f"sha256:{'ef' * 32}"


def test_no_directory_is_no_evidence(tmp_path):
    assert evidence.collect(tmp_path / "none", {"adapter": DIGEST}) == []


def test_evidence_applies_only_to_the_artifact_that_was_judged(draft, put, directory):
    evidence.stamp_file(put(draft, "redteam.json"))
    evidence.stamp_file(put(draft | {"subject": {"kind": "exported-model", "digest": OTHER}}, "older.json"))
    older, redteam = evidence.collect(directory, {"adapter": DIGEST, "merged": f"sha256:{'0' * 64}"})
    assert (redteam.name, redteam.verdict, redteam.subject, redteam.tool) == ("redteam", "pass", "adapter", "red team 2026-03")
    assert redteam.measures["withstood"]["value"] == 1
    assert (older.name, older.verdict, older.subject) == ("older", "inconclusive", None)
    assert older.reason == "made for another candidate (exported-model sha256:efefefefefef), so it does not apply"
    json.dumps([asdict(older), asdict(redteam)], allow_nan=False)


def test_a_failure_of_another_candidate_does_not_apply_either(draft, put, directory):
    evidence.stamp_file(put(draft | {"verdict": "fail"}))
    (judgment,) = evidence.collect(directory, {"adapter": OTHER})
    assert judgment.verdict == "inconclusive"


def test_a_broken_file_is_an_input_error(draft, put, directory):
    evidence.stamp_file(put(draft, "a.json"))
    put(draft, "b.json")
    with pytest.raises(InputError, match=r"b\.json: digest: this key is required"):
        evidence.collect(directory, {"adapter": DIGEST})


def test_a_file_in_place_of_the_directory_is_an_input_error(tmp_path):
    (tmp_path / "support").write_text("x")
    with pytest.raises(InputError, match="not a plain directory"):
        evidence.collect(tmp_path / "support", {})


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive"])
def test_required_evidence_adds_its_verdict(draft, put, directory, verdict):
    evidence.stamp_file(put(draft | {"verdict": verdict}))
    judgments = evidence.collect(directory, {"adapter": DIGEST})
    assert evidence.required(judgments, ["redteam"]) == [
        (verdict, "evidence redteam: Every attack was withstood (red team 2026-03, of the adapter).")
    ]
    assert evidence.required(judgments, []) == []


def test_missing_evidence_is_inconclusive_with_a_remedy(draft, put, directory):
    evidence.stamp_file(put(draft))
    judgments = evidence.collect(directory, {"adapter": OTHER})
    foreign, missing = evidence.required(judgments, ["redteam", "garak"], Path("evidence/support"))
    assert foreign[0] == missing[0] == "inconclusive"
    assert "made for another candidate" in foreign[1]
    assert missing[1] == (
        "evidence garak: missing; run the tool on this candidate and stamp its result as evidence/support/garak.json"
        " (evidence/README.md)."
    )


def test_evidence_about_another_kind_of_artifact_does_not_apply(draft, put, directory):
    evidence.stamp_file(put(draft))
    (judgment,) = evidence.collect(directory, {"exported": DIGEST})
    assert (judgment.verdict, judgment.subject) == ("inconclusive", None)


def test_a_comparison_with_another_model_does_not_apply(draft, put, directory):
    evidence.stamp_file(put(draft | {"against": {"kind": "adapter", "digest": OTHER}}))
    assert evidence.collect(directory, {"adapter": DIGEST}, [OTHER])[0].verdict == "pass"
    (judgment,) = evidence.collect(directory, {"adapter": DIGEST}, [DIGEST])
    assert judgment.verdict == "inconclusive"
    assert judgment.reason.startswith("compared with another adapter (sha256:efefefefefef) than this evaluation")
