"""The dataset card: the Hub's parser reads it, it is the same for equal rows, and it says what was done."""

import copy

import pytest
import yaml
from huggingface_hub import DatasetCard

from fineline.curate import card
from fineline.project.params import Adapter

REPORT = {
    "rows_in": 1000,
    "kept": 870,
    "removed": {
        "rejected": 3,
        "privacy": 1,
        "quality": 10,
        "label_noise": 6,
        "exact_duplicates": 80,
        "near_duplicates": 25,
        "contamination": 2,
        "linked": 2,
        "mixing": 1,
    },
    "reasons": {"rejected: no completion": 3},
    "changed": {"rows": 12, "email": 9, "invisible": 3},
    "reported": {"boilerplate": 4, "phone": 1},
    "splits": {
        "train": {"rows": 800, "groups": 700, "tokens": 42000},
        "validation": {"rows": 0, "groups": 0, "tokens": 0},
        "test": {"rows": 70, "groups": 60, "tokens": 4000},
    },
    "sources": {"tickets": {"rows_in": 1000, "kept": 870, "unreadable": 2, "weight": 1.0}},
    "languages": {"de": 300, "en": 500, "und": 60, "la": 3},
    "label_noise": {"same_prompt": {"prompts": 2, "rows": 5}, "near_prompt": {"prompts": 1, "rows": 2}},
    "signals": {"rare_phrases": [{"phrase": "cf mn", "rows": 25, "completion_share": 0.98}], "source_shares": []},
}
FILE = {"path": "tickets/a|b.jsonl", "size": 12, "sha256": "ab" * 32, "rows": 1000}
PARTS = {"tickets": {"weight": 1.0, "origin": "files", "rows": 1000, "unreadable": 2, "files": [FILE]}}


def adapter(license="cc-by-4.0", **curate):
    return Adapter.model_validate(
        {
            "owner": "support@fineline.example",
            "license": license,
            "base": "tiny-1m",
            "source": {"path": "tickets"},
            "curate": curate,
            "train": {},
            "evaluate": {"guards": ["mmlu_dev"]},
            "export": {},
        }
    )


def render(report=REPORT, parts=PARTS, **settings):
    return card.render("support", adapter(**settings), report, parts)


def test_the_hub_reads_license_languages_size_task_and_files():
    data = DatasetCard(render()).data
    assert (data.license, data.pretty_name, data.task_categories) == (
        "cc-by-4.0",
        "Training data of support",
        ["text-generation"],
    )
    assert data.size_categories == ["n<1K"]
    assert data.configs == [
        {
            "config_name": "default",
            "data_files": [{"split": "train", "path": "train.jsonl"}, {"split": "test", "path": "test.jsonl"}],
        }
    ]


def test_languages_are_sorted_by_frequency_without_undetected_and_doubtful_ones():
    assert DatasetCard(render()).data.language == ["en", "de"]
    assert DatasetCard(render(REPORT | {"languages": {"und": 5}})).data.language is None


@pytest.mark.parametrize(
    ("license", "front"),
    [
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("openrail++", {"license": "openrail++"}),
        ("LicenseRef-Acme Internal", {"license": "other", "license_name": "licenseref-acme-internal"}),
    ],
)
def test_a_license_unknown_to_the_hub_is_other_with_a_name(license, front):
    block = yaml.safe_load(render(license=license).split("---\n")[1])
    assert {key: value for key, value in block.items() if key.startswith("license")} == front


@pytest.mark.parametrize(("rows", "size"), [(999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (5_000_000, "1M<n<10M")])
def test_the_size_is_that_of_all_splits(rows, size):
    splits = {"train": {"rows": rows - 9, "groups": 1, "tokens": 1}, "test": {"rows": 9, "groups": 1, "tokens": 1}}
    assert DatasetCard(render(REPORT | {"splits": splits})).data.size_categories == [size]


def test_sources_are_listed_with_origin_and_digests():
    text = render()
    assert "| tickets | files | 1000 | 2 | 870 | 1.0 |" in text
    assert f"| tickets | tickets/a\\|b.jsonl | 12 | {'ab' * 32} |" in text


def test_of_many_files_the_first_are_listed_and_the_rest_counted():
    many = [FILE | {"path": f"tickets/{number}.jsonl"} for number in range(card.MOST_FILES + 5)]
    text = render(parts={"tickets": PARTS["tickets"] | {"files": many}})
    assert "tickets/19.jsonl" in text
    assert "tickets/20.jsonl" not in text
    assert "| 5 more, see parts.json of the raw rows | 60 |" in text


def test_every_step_says_how_many_rows_it_left_out_and_by_which_rule():
    text = render(max_tokens=64, duplicates={"similarity": None})
    assert "longer than 64 tokens of tiny-1m" in text
    assert "| near duplicates | 25 | none: near-duplicates are not searched for |" in text
    assert "an item of a suite that judges the model (mmlu_dev)" in text
    for step, rows in REPORT["removed"].items():
        assert f"| {step.replace('_', ' ')} | {rows} | " in text


def test_each_kind_of_personal_data_is_listed_with_its_action():
    text = render(privacy={"default": "drop", "kinds": {"phone": "report", "email": "pseudonymize"}})
    assert "Private values are left out together with their row, unless the table says otherwise." in text
    assert "| email | replaced by a placeholder that is the same for equal values | 9 | 0 |" in text
    assert "| phone | kept and counted | 0 | 1 |" in text
    assert "| invisible |" not in text
    assert "| boilerplate |" not in text


def test_the_known_limits_are_listed_with_their_numbers():
    limits = "\n".join(card.limits(adapter(), REPORT))
    expected = (
        "2 prompts and 1 groups of near-equal prompts have more than one answer",
        "in 60 rows",
        "items of mmlu_dev were searched",
        "boilerplate 4",
        "1 rare phrases",
    )
    for phrase in expected:
        assert phrase in limits


def test_the_card_quotes_no_row_and_is_the_same_for_equal_reports():
    assert "cf mn" not in render()
    assert render() == render(copy.deepcopy(REPORT), copy.deepcopy(PARTS))
