"""The journal: what is in it is there for good, and nothing that was torn."""

import math

import pytest

from fineline.inference.journal import AnswerJournal

LIKELIHOODS = [(-1.25, True), (-0.1, False)]
ASKED = ["likelihood", [[[1, 2], [3]], [[1, 2], [4]]]]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "journal.jsonl"


def test_answers_are_found_by_what_was_asked(file):
    AnswerJournal(file).add(ASKED, LIKELIHOODS)
    journal = AnswerJournal(file)
    assert journal.answers(ASKED) == LIKELIHOODS
    assert journal.answers(["likelihood", [[[1, 2], [3]]]]) is None
    assert journal.answers(["text", ASKED[1]]) is None


def test_numbers_come_back_exactly(file):
    exact = [(-0.1 - 1e-17, True), (-1 / 3, False), (-math.inf, False)]
    AnswerJournal(file).add(ASKED, exact)
    assert AnswerJournal(file).answers(ASKED) == exact


def test_texts_come_back_exactly(file):
    texts = ["", "a\nb", "Ä \u2028 \U0001f600", '{"intent":"x"}']
    AnswerJournal(file).add(ASKED, texts)
    assert AnswerJournal(file).answers(ASKED) == texts


def test_what_is_no_number_is_kept_as_null(file):
    AnswerJournal(file).add(ASKED, [(math.nan, False)])
    assert "null" in file.read_text()
    ((score, greedy),) = AnswerJournal(file).answers(ASKED)
    assert math.isnan(score)
    assert greedy is False


def test_every_batch_is_written_at_once(file):
    journal = AnswerJournal(file)
    for batch in range(3):
        journal.add([batch], LIKELIHOODS)
        assert len(file.read_text().splitlines()) == len(AnswerJournal(file)) == batch + 1


@pytest.mark.parametrize("torn", [1, 5, 30])
def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(file, torn):
    journal = AnswerJournal(file)
    journal.add(["first"], LIKELIHOODS)
    journal.add(["second"], LIKELIHOODS)
    content = file.read_bytes()
    file.write_bytes(content[:-torn])
    resumed = AnswerJournal(file)
    assert resumed.answers(["first"]) == LIKELIHOODS
    assert resumed.answers(["second"]) is None
    resumed.add(["second"], LIKELIHOODS)
    assert file.read_bytes() == content


def test_a_missing_file_is_an_empty_journal(file):
    assert AnswerJournal(file).answers(ASKED) is None
    assert not file.exists()
