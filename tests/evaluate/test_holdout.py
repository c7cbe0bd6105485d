"""The sealed part of the test split."""

from fineline.evaluate.holdout import divide


def rows(count):
    return [{"group": f"group {number // 3}", "number": number} for number in range(count)]


def test_every_row_is_on_one_side_and_groups_stay_whole():
    opened, sealed = divide(rows(3000), 0.2)
    assert sorted(row["number"] for row in opened + sealed) == list(range(3000))
    assert not {row["group"] for row in opened} & {row["group"] for row in sealed}
    assert 0.16 < len(sealed) / 3000 < 0.24


def test_no_row_changes_sides_when_the_data_grow():
    _, before = divide(rows(300), 0.2)
    _, after = divide(rows(3000), 0.2)
    assert [row for row in after if row["number"] < 300] == before


def test_no_share_and_the_whole():
    assert divide(rows(30), 0)[1] == []
    assert divide(rows(30), 1)[0] == []
