"""Curation finds planted faults, and no link crosses the splits, checked by brute force over all pairs."""

import itertools
import random
import re
import unicodedata

import pytest

import planted
from fineline.suites.guards import items_of
from tests.conftest import ROOT

ROWS = 3000
RULE = {"max_tokens": 8192, "split": {"validation": 0.1, "test": 0.2}}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Return (truth, lines) of planted rows, with leaks from the shipped guard."""
    directory = tmp_path_factory.mktemp("planted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        items = [item.question for item in items_of(["mmlu_dev"])]
    return planted.generate(directory, ROWS, 7, items), (directory / "rows.jsonl").read_bytes()


def shingles(row):
    """Return the three-word shingles of prompt and completion, computed independently."""
    found = set()
    for message in row["messages"]:
        spoken = re.findall(r"\w+", unicodedata.normalize("NFKC", message["content"]).casefold())
        found |= {tuple(spoken[place : place + 3]) for place in range(max(1, len(spoken) - 2))}
    return found


def test_planted_faults_are_found_and_clean_rows_stay(run, rows):
    truth, content = rows
    curated = run(content, guards=("mmlu_dev",), **RULE)
    out = {int(entry["at"].split(":")[1]) - 1: entry for entry in curated.left_out}
    changed = {int(entry["at"].split(":")[1]) - 1 for entry in curated.changed}
    texts = "\n".join(message["content"] for row in curated.rows for message in row["messages"])

    def share(kind, is_found):
        faults = truth.planted[kind]
        assert faults
        return sum(map(is_found, faults)) / len(faults)

    for kind, least in {"exact": 0.99, "near": 0.95}.items():
        assert share(kind, lambda fault: fault["row"] in out or fault["original"] in out) >= least
    assert share("label_noise", lambda fault: {fault["row"], fault["original"]} <= out.keys()) == 1
    assert share("leak", lambda fault: out.get(fault["row"], {}).get("step") == "contamination") == 1
    for kind in ("mojibake", "repetition", "echo", "broken"):
        assert share(kind, lambda fault: fault["row"] in out) == 1
    assert share("invisible", lambda fault: fault["row"] in out.keys() | changed) == 1
    assert share("personal", lambda fault: fault["value"] not in texts) == 1
    assert share("secret", lambda fault: max(fault["value"].splitlines(), key=len) not in texts) == 1
    clean = truth.clean()
    went_for_a_copy = {fault["original"] for kind in ("exact", "near") for fault in truth.planted[kind]}
    assert len((clean - went_for_a_copy) & out.keys()) <= 0.001 * len(clean)
    assert len(clean & changed) <= 0.001 * len(clean)


def test_no_link_crosses_the_splits(run, rows):
    _, content = rows
    lines = content.splitlines(keepends=True)[:1500]
    curated = run(b"".join(lines), duplicates={"keep": "all"}, label_noise={"same_prompt": "keep_all"}, **RULE)
    sides = [(name, row, shingles(row)) for name, rows in curated.splits.items() for row in rows]
    pairs = 0
    for (one, row, mine), (two, other, theirs) in itertools.combinations(sides, 2):
        near = len(mine & theirs) >= 0.85 * len(mine | theirs)
        same = row["messages"][:-1] == other["messages"][:-1] or row["group"] == other["group"]
        assert one == two or not (near or same)
        pairs += near
    assert pairs > 20


@pytest.mark.parametrize("shuffled", [False, True])
def test_no_row_changes_splits_and_the_test_set_only_grows_when_the_data_grow(run, rows, shuffled):
    _, content = rows
    lines = content.splitlines(keepends=True)[:1500]
    before = run(b"".join(lines[:900]), **RULE)
    more = random.Random(1).sample(lines, len(lines)) if shuffled else lines
    after = run(b"".join(more), **RULE)
    side = {row["id"]: name for name, rows in after.splits.items() for row in rows}
    for name, rows in before.splits.items():
        for row in rows:
            assert side.get(row["id"], name) == name
    if not shuffled:
        unanswerable = {entry["id"] for entry in after.left_out if entry["step"] == "label_noise"}
        assert {row["id"] for row in before.splits["test"]} - unanswerable <= side.keys()
