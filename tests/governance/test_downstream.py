"""Artifacts and releases that were made from a row or a source."""

import json

import pytest

from fineline.errors import InputError
from fineline.governance import revocations, store
from fineline.project import layout
from tests.governance.conftest import NAME, made, tensors


def test_everything_from_a_source_down_to_the_release_in_production(world):
    world.ready()
    world.promote()
    found = revocations.from_source("faq")
    assert {one.kind for one in found} == {"raw-data", "training-data", "adapter", "merged-model", "exported-model", "release"}
    assert (found[-1].path, found[-1].channels) == (store.directory(NAME, world.release()), ("production",))


def test_what_was_not_made_from_it_is_left_out(world):
    made(layout.adapter("other"), "adapter", lambda at: tensors(at, 9.0), {"base": layout.base("tiny")})
    assert layout.adapter("other") not in {one.path for one in revocations.from_source("faq")}


def test_a_row_is_found_in_any_split_and_among_those_left_out(world):
    base, raw = layout.base("tiny"), layout.raw(NAME)

    def fill(at):
        (at / "train.jsonl").write_text(json.dumps({"id": "r1"}) + "\n")
        (at / "left_out.jsonl").write_text(json.dumps({"id": "r2"}) + "\n")

    made(layout.curated(NAME), "training-data", fill, {"raw": raw, "tokenizer": base})
    for row in ("r1", "r2"):
        assert layout.curated(NAME) in {one.path for one in revocations.from_row(row)}


@pytest.mark.parametrize(
    ("look", "complaint"),
    [
        (lambda: revocations.from_source("fax"), "no raw data have a source part 'fax'; there are faq"),
        (lambda: revocations.from_row("r9"), "no curated data in this project have a row 'r9'"),
    ],
)
def test_unknown_sources_and_rows(world, look, complaint):
    for file in layout.JUDGING_ROWS:
        (layout.curated(NAME) / file).write_text("")
    with pytest.raises(InputError, match=complaint):
        look()
