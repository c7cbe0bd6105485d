"""fineline.dagster.curation_pictures: the numbers and labels behind the pictures, and that odd data can be drawn."""

import base64
import warnings

from fineline.dagster.curation_pictures import counts, edges, funnel, losses, makeup, most, short


def is_png(picture):
    return base64.b64decode(picture.value.partition("base64,")[2].removesuffix(")")).startswith(b"\x89PNG")


def test_each_step_tells_what_it_left_and_what_it_cost():
    assert losses([("rows in", 1000), ("rejected", 1000), ("quality", 900), ("mixing", 990)]) == [
        "1,000",
        "1,000",
        "900  \N{MINUS SIGN}100 (\N{MINUS SIGN}10.0%)",
        "990  +90 (+10.0%)",
    ]


def test_the_largest_bars_are_shown_and_the_rest_is_summed():
    bars = [("a", 1), ("b", 5), ("c", 3), ("d", 1)]
    assert most(bars, 4) == [("b", 5), ("c", 3), ("a", 1), ("d", 1)]
    assert most(bars, 3) == [("b", 5), ("c", 3), ("2 others", 2)]


def test_the_first_bin_is_as_wide_as_the_second_on_the_scale():
    assert edges([16, 32, 64]) == [8, 16, 32, 64]
    assert edges([16]) == [8, 16]


def test_long_labels_are_cut():
    assert short("billing") == "billing"
    assert short("a very long name of a domain") == "a very long name of a…"


def test_counts_are_read_from_a_file_with_a_heading(tmp_path):
    file = tmp_path / "domains.csv"
    file.write_text('domain,rows\n"billing, refunds",3\nother,1\n')
    assert counts(file) == [("billing, refunds", 3), ("other", 1)]
    assert counts(tmp_path / "none.csv") == []


def test_pictures_of_odd_data_are_drawn_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_png(funnel([("rows in", 5)]))
        assert is_png(
            makeup([("8", 5)], {"median": 7, "p95": 7, "limit": 1024}, [("zh", 4), ("en", 1)], [("$5 to $9 技术", 5)])
        )
