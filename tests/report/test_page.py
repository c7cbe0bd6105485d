"""The HTML report: what it shows, in which order, and that it trusts no text."""

import base64
import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest

from fineline.errors import InputError
from fineline.governance import bootstrap, keys
from fineline.report import page
from tests.report.conftest import HOSTILE, answered, change, digest, judged, written, written_local
from tests.report.document import Document

SECTIONS = ["measures", "differences", "loss", "data", "changes", "cost", "lineage", "approval"]


def test_the_verdict_is_first_and_the_sections_follow(project):
    found = Document(written())
    assert found.text.startswith("home: pass home on tiny ✓ pass Adapter, merged and exported model meet every rule")
    assert found.values("id") == SECTIONS
    assert digest("e") in found.text


def test_the_numbers_of_every_report_are_there(project):
    text = Document(written()).text
    for shown in (
        "exported (int4)",
        "+19.0%",
        "+14.0% to +24.0%",
        "960 of 1,000 raw rows were kept",
        "e-mail address: 40",
        "Nothing was removed by: quality",
        "Lowest validation loss: 0.25 at step 20 of 20",
        "1.00 GiB",
        "1.50 GiB",
        "50% more than forecast",
        "4.0 times the forecast",
        "500 MB",
        "qlora",
    ):
        assert shown in text


def test_a_failed_candidate_says_first_which_requirement_is_not_met(project):
    change("candidate", verdict="fail", forms={"merged": judged(), "exported": judged(-0.3, "fail")})
    text = Document(written()).text
    assert "✖ fail At least one requirement is not met. ✖ fail exported: target: -30.0%." in text.replace("✕", "✖")
    assert text.index("exported: target: -30.0%") < text.index("Measures")


def test_failed_conversions_and_missing_evidence_are_requirements(project):
    change("merge", passed=False)
    change("export", parity={"passed": False})
    change("gate", policy={"evidence": ["red-team"]})
    change("candidate", verdict="fail")
    text = Document(written()).text
    assert "merge: the merged weights are not those of base and adapter" in text
    assert "export: the exported model does not compute the same" in text
    assert "evidence red-team: missing" in text


@pytest.mark.parametrize("missing", ["candidate", "gate", "curation", "training", "plan", "settings", "merge", "export"])
def test_a_missing_report_leaves_a_page_with_all_sections(project, missing):
    Path(f"reports/home/{missing}.json").unlink()
    assert set(Document(written()).values("id")) >= set(SECTIONS) - {"differences"}


def test_an_adapter_that_was_only_evaluated_has_the_verdict_of_its_gate(project):
    for name in ("candidate", "merge", "export"):
        Path(f"reports/home/{name}.json").unlink()
    text = Document(written()).text
    assert "The adapter meets every rule of the gate: 2 rules" in text
    assert "The merged and the exported model were not assessed yet." in text
    assert "The model was not exported yet." in text


def test_without_any_report_nothing_was_judged(project):
    shutil.rmtree("reports")
    text = Document(written()).text
    assert "not judged" in text
    assert "The rows were not curated yet." in text


def test_the_same_files_give_the_same_bytes_without_paths_of_the_machine(project):
    before = written()
    os.utime("reports/home/candidate.json", (0, 0))
    assert written() == before
    assert str(project) not in before
    assert not re.search(r"\b20\d\d-\d\d-\d\d", before)


def test_the_page_in_git_quotes_no_item_and_the_local_copy_does(project):
    answered()
    assert "Turn on the lamp?" not in written()
    assert "quotes no item" in written()
    text = Document(written_local()).text
    assert "target: 1 worse, 1 better" in text
    assert "Worse than the base item 0 Turn on the lamp? expected on base on exported off" in text
    assert "Better than the base item 1 Lamp off? expected on base off exported on" in text
    assert page.local_file_of("home").parts[0] == ".fineline"


def test_without_answers_the_local_copy_says_how_to_fetch_them(project):
    assert "The answers are not on this machine; dvc pull fetches them." in Document(written_local()).text


def test_hostile_text_is_only_text(project):
    answered(HOSTILE)
    rules = judged()["rules"]
    rules[0] |= {"measure": HOSTILE}
    hostile = judged() | {"rules": rules, "reasons": [HOSTILE]}
    change("candidate", reasons=[HOSTILE], forms={"merged": hostile, "exported": hostile})
    change("gate", rules=rules)
    change("curation", removed={HOSTILE: 3}, reasons={f"{HOSTILE}: {HOSTILE}": 3})
    found = Document(written_local())
    assert not {"script", "img", "iframe", "object", "form", "a"} & set(found.tags)
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert found.text.count(HOSTILE) > 5


def test_nothing_is_loaded_from_anywhere(project):
    source = written()
    found = Document(source)
    assert "://" not in source
    assert found.values("href") == ["data:,"]
    assert not found.values("src")
    assert not found.values("style")
    assert "url(" not in source
    assert "@import" not in source


def test_the_content_security_policy_allows_this_style_and_no_script(project):
    source = written()
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    assert style
    allowed = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = (value for value in Document(source).values("content") if "default-src" in value)
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{allowed}'"]


def test_every_figure_has_a_label_or_is_hidden(project):
    found = Document(written())
    labels = [value for tag, name, value in found.attributes if tag == "svg" and name == "aria-label"]
    assert found.values("role").count("img") == len(labels)
    assert all(labels)
    assert "Difference of target: adapter +20.0%, +15.0% to +25.0%; merged" in " ".join(labels)


def test_without_a_policy_the_page_says_how_to_begin(project):
    assert "No policy is in force in this project yet" in Document(written()).text


def test_the_policy_in_force_names_approvers(project, tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "key"
    entry = bootstrap.entry_of("Ada <Lovelace>", "ada@example.com", bootstrap.ROLES, keys.make(file, None))
    bootstrap.begin("ada", entry, str(file))
    text = Document(written()).text
    assert "production 2 people with the role approver, other than who made the candidate: Ada <Lovelace>." in text
    assert "approvals at most 90 days old" in text
    assert "staging 1 approver: Ada <Lovelace>." in text
    local = Document(written_local()).text
    assert "The approval status is not known here" in local  # there are no artifacts


def test_an_unreadable_ledger_is_reported_on_the_page(project):
    Path("governance/ledger").mkdir(parents=True)
    Path("governance/ledger/broken.json").write_text("{")
    assert "The policy in force cannot be read: governance/ledger/broken.json" in Document(written()).text


def test_a_report_that_is_not_json_is_an_error(project):
    Path("reports/home/gate.json").write_text("{")
    with pytest.raises(InputError, match=r"reports/home/gate\.json: not valid JSON"):
        page.write("home")


def test_an_unknown_adapter_is_an_error(project):
    with pytest.raises(InputError, match="there is no adapter 'hom'"):
        page.write("hom")
