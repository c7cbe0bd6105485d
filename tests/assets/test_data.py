"""assets.data: what curation counted."""

from assets.data import curated

CURATION = {
    "rows_in": 10,
    "kept": 7,
    "rejected": 1,
    "duplicates": 2,
    "conflicting": 0,
    "splits": {"train": {"rows": 5, "groups": 3}, "test": {"rows": 2, "groups": 1}},
}


def test_counts_are_numbers_and_splits_a_table(stage):
    shown = curated(stage("curate", curation=CURATION))
    assert (shown["rows_in"], shown["kept"], shown["conflicting"]) == (10, 7, 0)
    assert (shown["train/rows"], shown["test/groups"]) == (5, 1)
    assert [record.data for record in shown["splits"].records] == [
        {"split": "train", "rows": 5, "groups": 3},
        {"split": "test", "rows": 2, "groups": 1},
    ]


def test_before_the_first_curation_nothing_is_shown(stage):
    assert curated(stage("curate")) == {}
