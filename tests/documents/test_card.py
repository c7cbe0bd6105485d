"""The model card: readable by the Hub's parser, with the numbers of the records, and safe against markup in them."""

import shutil

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from fineline.documents import card
from fineline.documents.gathering import gather
from tests.documents.conftest import NAME, OWNER, RULES, Make, rule


def _card(approvals: tuple[dict[str, str], ...] = ()) -> str:
    return card.render(gather(NAME), approvals)


def _section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _row(text: str, first: str) -> list[str]:
    return next(
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith(f"| {first} ")
    )


def _shape(text: str) -> dict[str, object]:
    """Return what a Markdown parser finds: headings, rows and cells of tables, code blocks, HTML, links and rules."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(ModelCard(text).text)
    inline = [child for token in tokens for child in token.children or []]
    kinds = [token.type for token in [*tokens, *inline]]
    counted = ("tr_open", "td_open", "fence", "html_block", "html_inline", "link_open", "image", "hr")
    headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    return {"headings": headings} | {kind: kinds.count(kind) for kind in counted}


def test_the_hubs_parser_reads_the_header(make: Make) -> None:
    make()
    data = ModelCard(_card()).data
    assert data.license == "cc-by-4.0"
    assert data.base_model == "tiny"
    assert data.base_model_relation == "finetune"
    assert data.language == ["de"]
    assert data.datasets == [NAME]
    assert "lora" in data.tags


def test_each_measure_is_once_in_the_header_with_the_score_of_the_exported_model(make: Make) -> None:
    make()
    results = {result.metric_name: result for result in ModelCard(_card()).data.eval_results}
    assert results.keys() == {entry["measure"] for entry in RULES}
    assert results["target_exact_match"].metric_value == 0.8125
    assert results["target_exact_match"].dataset_split == "test"
    assert results["everyday"].dataset_revision == "sha256:" + "1" * 64


def test_a_base_and_parts_of_the_hub_are_named_by_their_ids(make: Make) -> None:
    make(base_parameters={"hub": {"repo": "someone/model", "revision": "f" * 40}})
    text = _card()
    assert ModelCard(text).data.base_model == "someone/model"
    assert "someone/model on the Hugging Face Hub at ffff" in text


def test_a_license_that_the_hub_does_not_know_is_other(make: Make) -> None:
    make(license="Our Own: v1")
    data = ModelCard(_card()).data
    assert (data.license, data.license_name) == ("other", "our-own-v1")


def test_the_evaluation_has_every_arm(make: Make) -> None:
    project = make(rules=[rule("target_exact_match", "must_improve", "pass", 0.125, 0.8125)])
    assert project.rules[0]["difference"] == 0.6875
    cells = _row(_section(_card(), "Evaluation"), "target_exact_match")
    assert cells[3:] == ["12.5%", "81.2%", "81.2%", "81.2%", "+68.8%", "+63.7% to +73.8%", "pass"]


def test_the_card_changes_with_its_record(make: Make) -> None:
    project = make()
    before = _card()
    project.training["tokens"] = 54321
    project.write()
    after = _card()
    assert "| tokens seen | 12,345 |" in before
    assert "| tokens seen | 54,321 |" in after


def test_a_significant_loss_without_a_rule_is_a_limit(make: Make) -> None:
    make()
    limits = _section(_card(), "Limits")
    assert "Worse than the base (with confidence), and not covered by a rule: everyday" in limits
    assert "harmless 50.0% (50.0%)" in limits
    assert "not covered by a rule: harmless" not in limits


def test_a_loss_that_may_be_chance_is_not_called_significant(make: Make) -> None:
    make(rules=[rule("everyday", "info", "info", 0.5, 0.48)])
    assert "Worse than the base" not in _card()


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_a_rule_that_did_not_pass_is_a_limit_and_not_a_use(make: Make, verdict: str) -> None:
    make(rules=[rule("target_exact_match", "must_improve", verdict, 0.1, 0.2)])
    text = _card()
    assert f"Not passed ({verdict}): target_exact_match" in text
    assert "Better than the base" not in text


def test_the_funnel_ends_with_the_rows_that_were_kept(make: Make) -> None:
    project = make()
    data = _section(_card(), "Data")
    assert _row(data, "rejected") == ["rejected", "4", "96"]
    assert _row(data, "exact duplicates") == ["exact duplicates", "6", str(project.curation["kept"])]


def test_settings_that_the_method_does_not_read_are_left_out(make: Make) -> None:
    make(settings={"method": "bitfit", "rank": 8, "epochs": 1.0, "batch_size": 1, "accumulation": 1})
    assert "| rank |" not in _card()


def test_the_prompt_is_shown_as_the_model_receives_it(make: Make) -> None:
    make()
    shown = _section(_card(), "Prompt format")
    assert "```\n<system>Answer as JSON.\n<user>(your text)\n<assistant>\n```" in shown


def test_a_template_that_cannot_be_rendered_is_shown_without_an_example(make: Make) -> None:
    make(template="{{ messages.__class__.__mro__ }}{% for")
    shown = _section(_card(), "Prompt format")
    assert "{% for" in shown
    assert "as the model receives it" not in shown


def test_approvals_are_shown_when_there_are_any(make: Make) -> None:
    make()
    approval = {"person": "A. Person", "role": "approver", "time": "2026-01-02T03:04:05Z", "decision": "approve"}
    assert "## Approvals" not in _card()
    shown = _section(_card((approval | {"reason": "good | enough", "entry": "7"},)), "Approvals")
    assert r"| A. Person | approver | 2026-01-02T03:04:05Z | approve | good \| enough | 7 |" in shown


def test_text_of_records_cannot_break_out(make: Make) -> None:
    make()
    plain = _shape(_card())
    evil = "x` | <script>alert(1)</script>\n---\n# owned\n| a | b |\n[link](http://evil.example) \u202e```"
    make(owner=evil, license=evil, system=f"{evil}\n````\n# owned", template=f"{evil}{{{{ messages[0]['content'] }}}}")
    text = _card()
    assert yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))["license"] == "other"
    assert _shape(text) == plain
    assert "\u202e" not in text


def test_a_verdict_other_than_pass_is_shown(make: Make) -> None:
    make(verdict="inconclusive", gate_verdict="fail")
    text = _card()
    assert "- Verdict of the evaluation: **inconclusive**" in text
    assert "Verdict: **inconclusive** (adapter fail, merged inconclusive, exported inconclusive)." in text


def test_it_contains_no_text_of_a_row(make: Make) -> None:
    make()
    assert "very words" not in _card()
    assert OWNER in _card()


def test_a_result_that_an_upgrade_accepted_is_stated(make: Make) -> None:
    project = make()
    assert "accepted" not in _section(_card(), "Lineage")
    project.accept()
    assert f"- train@{NAME}: made by train version 1, accepted at the upgrade to 2" in _section(_card(), "Lineage")


def test_what_requests_must_send_for_the_template_is_said(make: Make) -> None:
    settings = make().settings
    assert "Requests have to match" not in _card()
    shutil.rmtree("models")
    chat = {"date": "2026-01-01", "variables": {"enable_thinking": False}, "system": "merge"}
    make(settings=settings | {"chat": chat})
    text = _section(_card(), "Prompt format")
    assert "trained and evaluated with 2026-01-01" in text
    assert 'thinking": false' in text
    assert "beginning of the first user message" in text
