"""fineline.dagster.curation_metadata: raw and curated rows as numbers, tables, pictures and columns."""

import json

import pytest

from fineline.dagster.checks import CURATION_CHECKS
from fineline.dagster.curation_metadata import LONGEST_TEXT, spread
from fineline.dagster.displays import DISPLAYS

curated, raw = DISPLAYS["curate"].metadata, DISPLAYS["ingest"].metadata

CURATION = {
    "rows_in": 10,
    "kept": 7,
    "removed": {"rejected": 1, "quality": 2},
    "reasons": {"quality: repetition": 2, "rejected: no completion": 1},
    "changed": {"rows": 2, "email": 2},
    "reported": {"phone": 1},
    "splits": {"train": {"rows": 5, "groups": 3, "tokens": 90}, "test": {"rows": 2, "groups": 1, "tokens": 30}},
    "sources": {
        "tickets": {"rows_in": 6, "kept": 5, "unreadable": 0, "weight": 1.0},
        "chats": {"rows_in": 4, "kept": 2, "unreadable": 1, "weight": 2.0},
    },
    "languages": {"en": 7},
    "domains": {},
    "lengths": {"median": 12, "p95": 20, "limit": 64},
    "contamination": {"mmlu_dev": {"rows": 1, "items": 1}},
    "label_noise": {"same_prompt": {"prompts": 1, "rows": 2}},
    "signals": {
        "rare_phrases": [{"phrase": "cf mn", "rows": 5, "completion_share": 0.98}],
    },
    "checks": {"links_across_splits": 0},
}
CHANGE = {
    "previous": "sha256:1",
    "rows": 3,
    "kept": 1,
    "drift": {"sources": 0.04},
    "largest_drift": 0.04,
    "drift_limit": 0.2,
    "source_shares": [{"source": "tickets", "before": 0.2, "now": 0.6}],
}
PARTS = {
    "tickets": {
        "layout": "messages",
        "columns": {},
        "prompt": None,
        "weight": 1.0,
        "origin": "rows",
        "rows": 6,
        "unreadable": 0,
        "files": [{"path": "rows/a.jsonl", "size": 10, "sha256": "ab", "rows": 6}],
    },
    "rows": {
        "layout": "text",
        "columns": {},
        "prompt": "Say it.",
        "weight": 2.0,
        "origin": "more",
        "rows": 4,
        "unreadable": 1,
        "files": [
            {"path": "more/b.csv", "size": 20, "sha256": "cd", "rows": 3},
            {"path": "more/c.csv", "size": 20, "sha256": "ef", "rows": 1},
        ],
    },
}


@pytest.fixture
def after_curation(stage, tmp_path):
    """The stage after it ran: its report, its plots and its rows."""
    plots = tmp_path / "reports" / "home-en" / "curation"
    plots.mkdir(parents=True)
    (plots / "funnel.csv").write_text("step,rows\nrows in,10\nrejected,9\nquality,7\n")
    (plots / "lengths.csv").write_text("tokens,rows\n16,4\n32,3\n")
    (plots / "languages.csv").write_text("language,rows\nen,7\n")
    (plots / "domains.csv").write_text("domain,rows\n")
    (plots / "change.json").write_text(json.dumps(CHANGE))
    (plots / "change.csv").write_text("what,before,now\nrows,4,7\nlanguage en,1.0,\n")
    rows = tmp_path / "data" / "curated" / "home-en"
    rows.mkdir(parents=True)
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]
    line = json.dumps({"id": "1", "source": "tickets", "group": "g", "messages": messages})
    (rows / "train.jsonl").write_text(f"{line}\n" * 5)
    (rows / "README.md").write_text("---\n---\n")
    return stage("curate", curation=CURATION)


def records(value):
    return [record.data for record in value.records]


def test_every_number_of_the_report_can_be_plotted(after_curation):
    shown = curated(after_curation)
    assert (shown["rows_in"], shown["kept"], shown["removed/quality"], shown["lengths/p95"]) == (10, 7, 2, 20)
    assert (shown["train/rows"], shown["test/groups"], shown["train/tokens"]) == (5, 1, 90)
    assert (shown["sources/chats/kept"], shown["languages/en"], shown["change/largest_drift"]) == (2, 7, 0.04)
    assert (shown["contamination/mmlu_dev/rows"], shown["label_noise/same_prompt/prompts"]) == (1, 1)
    assert (shown["change/drift/sources"], shown["rare_phrases/count"]) == (0.04, 1)


def test_splits_sources_reasons_noise_phrases_and_changes_are_tables(after_curation):
    shown = curated(after_curation)
    assert records(shown["splits"])[1] == {"split": "test", "rows": 2, "groups": 1, "tokens": 30}
    assert [(row["source"], row["share_before"], row["share_now"]) for row in records(shown["sources"])] == [
        ("tickets", 0.2, 0.6),
        ("chats", None, None),
    ]
    assert records(shown["reasons"])[0] == {"step": "quality", "reason": "repetition", "rows": 2}
    assert records(shown["label_noise"]) == [{"kind": "same_prompt", "prompts": 1, "rows": 2}]
    assert records(shown["contamination"]) == [{"suite": "mmlu_dev", "rows": 1, "items": 1}]
    assert records(shown["rare_phrases"]) == [{"phrase": "cf mn", "rows": 5, "completion_share": 0.98}]
    assert records(shown["changes"])[1] == {"what": "language en", "before": 1.0, "now": None}


def test_pictures_samples_and_the_files_that_exist_are_shown(after_curation):
    shown = curated(after_curation)
    assert shown["funnel"].value.startswith("![rows left after each step of curation](data:image/png;base64,")
    assert shown["makeup"].value.startswith("![lengths, languages and domains of the rows that stayed](data:image/png")
    assert records(shown["samples"]) == [{"prompt": "hello", "completion": "hi", "source": "tickets"}] * 5
    assert shown["path/curation.json"].value == "reports/home-en/curation.json"
    assert shown["path/README.md"].value == "data/curated/home-en/README.md"
    assert "path/left_out.jsonl" not in shown


def test_a_first_version_without_domains_or_changes_shows_neither(stage):
    first = CURATION | {"domains": {}, "signals": {}}
    shown = curated(stage("curate", curation=first))
    assert not {"changes", "rare_phrases", "funnel", "makeup", "samples", "change/largest_drift"} & set(shown)
    assert shown["kept"] == 7


def test_the_raw_rows_are_shown_part_by_part(stage, tmp_path):
    file = tmp_path / "data" / "raw" / "home-en" / "parts.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(PARTS))
    shown = raw(stage("ingest"))
    assert [(row["part"], row["rows"], row["unreadable"], row["files"]) for row in records(shown["parts"])] == [
        ("tickets", 6, 0, 1),
        ("rows", 4, 1, 2),
    ]
    assert [(row["part"], row["sha256"]) for row in records(shown["files_of_parts"])] == [
        ("tickets", "ab"),
        ("rows", "cd"),
        ("rows", "ef"),
    ]
    assert (shown["rows"], shown["unreadable"], shown["source_files"], shown["rows/unreadable"]) == (10, 1, 3, 1)


def columns(shown):
    schema = shown["dagster/column_schema"]
    return {column.name: (column.type, column.description) for column in schema.columns}


def test_the_columns_of_raw_rows_are_those_that_came(stage, tmp_path):
    file = tmp_path / "data" / "raw" / "home-en" / "parts.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(PARTS))
    (file.parent / "tickets.jsonl").write_text(
        '{"id": "1", "at": "a:1", "content": {"question": "Why?", "stars": 4}}\n'
        '{"id": "2", "at": "a:2", "content": {"question": "How?", "stars": null, "tags": ["x"]}}\n'
    )
    (file.parent / "rows.jsonl").write_text('{"id": "3", "at": "b:1", "problem": "no JSON", "raw": "{"}\n')
    found = columns(raw(stage("ingest")))
    assert list(found) == ["id", "at", "content.question", "content.stars", "content.tags", "problem", "raw"]
    assert found["content.stars"] == ("int | null", "in tickets")
    assert found["content.tags"] == ("array", "in tickets")


def test_the_columns_of_curated_rows_are_those_of_the_dataset_s_description(after_curation, tmp_path):
    described = {
        "recordSet": [
            {"@id": "splits", "field": [{"name": "name", "dataType": "sc:Text"}]},
            {
                "@id": "rows",
                "field": [
                    {"name": "id", "dataType": "sc:Text", "description": "A digest."},
                    {"name": "messages", "description": "The turns.", "subField": [{"name": "role"}, {"name": "content"}]},
                ],
            },
        ]
    }
    (tmp_path / "data" / "curated" / "home-en" / "croissant.json").write_text(json.dumps(described))
    found = columns(curated(after_curation))
    assert found == {"id": ("text", "A digest."), "messages": ("array of {role, content}", "The turns.")}


def test_before_the_first_run_nothing_is_shown(stage):
    assert curated(stage("curate")) == raw(stage("ingest")) == {}


def test_the_checks_of_curation_are_declared_once_each():
    names = [check.name for check in CURATION_CHECKS]
    assert names == ["no_leak_between_splits", "privacy", "contamination", "rejected_share", "drift"]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a split with these conversations."""

    def write(*conversations):
        file = tmp_path / "train.jsonl"
        rows = [{"id": str(number), "source": "chats", "messages": turns} for number, turns in enumerate(conversations)]
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return file

    return write


def turns(prompt, completion):
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]


@pytest.mark.parametrize(
    ("rows", "shown"), [(0, []), (3, [0, 1, 2]), (10, list(range(10))), (25, [0, 2, 5, 7, 10, 12, 15, 17, 20, 22])]
)
def test_samples_are_spread_evenly(write, rows, shown):
    file = write(*(turns(str(number), "yes") for number in range(rows)))
    assert [sample["prompt"] for sample in spread(file, rows)] == [str(number) for number in shown]


def test_the_prompt_shown_is_the_turn_that_is_answered(write):
    system, earlier = {"role": "system", "content": "Be brief."}, turns("first", "one")
    (sample,) = spread(write([system, *earlier, *turns("second", "two")]), 1)
    assert sample == {"prompt": "second", "completion": "two", "source": "chats"}


def test_long_texts_are_cut_and_invisible_characters_are_removed(write):
    (sample,) = spread(write(turns("a\n\tb\u202ec\u200bd", "x" * 1000)), 1)
    assert sample["prompt"] == "a b c d"
    assert len(sample["completion"]) == LONGEST_TEXT
    assert sample["completion"].endswith("x…")


def test_a_turn_without_text_is_shown_empty(write):
    (sample,) = spread(write([{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": []}]), 1)
    assert sample["completion"] == ""


def test_without_rows_there_are_no_samples(tmp_path):
    assert spread(tmp_path / "train.jsonl", 5) == []
