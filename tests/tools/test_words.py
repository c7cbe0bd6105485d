from pathlib import Path

import pytest

import words

FILE = Path("docs/page.md")


def found(text, exceptions=()):
    return [(line, one) for line, one, _ in words.findings(FILE, text, set(exceptions))]


@pytest.mark.parametrize(
    "text",
    [
        "the report told it",
        "is no number",
        "are none of these",
        "nobody answers",
        "whoever approves",
        "beside the data",
        "surely more",
        "made anew",
        "a process of its own",
        "so many items",
        "the file lies there",
        "the key stands twice",
        "quantised weights",
        "a tokeniser",
        "the behaviour",
        '"""Whether it ran."""',
        '"""What is told."""',
    ],
)
def test_habits_are_found(text):
    assert found(text)


@pytest.mark.parametrize(
    "text",
    [
        "besides the data",
        "there is no file",
        "is no longer used",
        "x is None else y",
        "RoPE stands for rotary position embedding",
        "quantized weights",
        "a promise",
        "otherwise",
        "raises an exception",
        '"""Return what was told to no one."""'.replace("told", "said"),
    ],
)
def test_ordinary_english_passes(text):
    assert not found(text)


def test_the_line_is_named():
    assert found("one\ntwo beside\n") == [(2, "beside")]


def test_an_exception_holds_for_its_file_and_words_alone():
    assert not found("Centre", {("docs/page.md", "centre")})
    assert found("Centre", {("docs/other.md", "centre")})


def test_an_exception_needs_a_reason(tmp_path, monkeypatch):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/words.allow").write_text("docs/page.md: centre\n")
    monkeypatch.setattr(words, "ROOT", tmp_path)
    with pytest.raises(ValueError, match=r"words\.allow:1: expected `PATH: WORDS  # REASON`"):
        words.allowed()
