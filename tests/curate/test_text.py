"""Words, hashes, and sequences of words."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fineline.curate.text import Words, key, normalize, words

TEXTS = st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=9), max_size=8)


def test_case_width_and_white_space_are_normalized():
    assert normalize("  The\tﬁrst \n ＬＡＭＰ ") == "the first lamp"


def test_scripts_without_spaces_are_split_into_characters():
    assert words("今日は") == ["今", "日", "は"]
    assert words("it's 3 p.m.") == ["it", "s", "3", "p", "m"]
    assert words("😀") == ["😀"]
    assert words("2024年 iphone手机 𠀀𠀁") == ["2024", "年", "iphone", "手", "机", "𠀀", "𠀁"]


def test_a_key_is_the_same_everywhere():
    assert key("lamp") == 0x2AFC15E301F7046B
    assert key("lamp") != key("lamps")


@given(TEXTS)
def test_sequences_of_a_batch_equal_those_of_each_text(texts):
    together, starts = Words.from_texts(texts).sequences(3)
    for place, text in enumerate(texts):
        alone, _ = Words.from_texts([text]).sequences(3)
        assert np.array_equal(together[starts[place] : starts[place + 1]], alone)
        assert len(alone) == max(1, len(text) - 2)


def test_equal_sequences_have_equal_hashes_and_others_do_not():
    runs, _ = Words.from_texts([list("abcabd")]).sequences(3)
    assert len(set(runs.tolist())) == 4
    runs, _ = Words.from_texts([list("abcab")]).sequences(3)
    assert len(set(runs.tolist())) == 3
    other, _ = Words.from_texts([list("cba")]).sequences(3)
    assert other[0] not in runs
