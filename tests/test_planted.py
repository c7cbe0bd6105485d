"""The benchmark's rows contain the faults that the truth lists, and no others."""

import json
import re
import unicodedata
from collections import Counter, defaultdict
from ipaddress import IPv4Address
from itertools import combinations
from pathlib import Path

import phonenumbers
import pytest

import planted

ROWS = 2000
ITEMS = [
    "Which of the two rivers that meet below the old town carries more water in a dry summer than the other one does?",
    "Find the order of 18.",
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("planted")
    planted.generate(directory, ROWS, seed=7, suite_items=ITEMS)
    return directory


@pytest.fixture(scope="module")
def truth(directory):
    return planted.Truth(**json.loads((directory / "truth.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def rows(directory):
    """Return row number -> (prompt, completion) of every row that can be read."""
    readable = {}
    for number, line in enumerate((directory / "rows.jsonl").read_bytes().splitlines()):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if "completion" in row:
            assert row["n"] == number
            readable[number] = (row["prompt"], row["completion"])
    return readable


def words(text):
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


def shingles(row):
    return {tuple(spoken[place : place + 3]) for spoken in map(words, row) for place in range(len(spoken) - 2)}


def similarity(one, other):
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


def mod97(number):
    return int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97


def luhn(number):
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10


VALID = {
    "email": lambda value: re.fullmatch(r"[a-z0-9.+]+@[a-z]+\.com", value),
    "url_credentials": lambda value: re.fullmatch(r"https://[a-z]+:\w+@[a-z]+\.com/login", value),
    "card": lambda value: luhn(re.sub(r"[ -]", "", value)) == 0,
    "iban": lambda value: mod97(value.replace(" ", "")) == 1,
    "ssn": lambda value: re.fullmatch(r"(?!666)[1-6]\d\d-\d\d-\d{4}", value),
    "ip": lambda value: IPv4Address(value).is_global,
    "mac": lambda value: re.fullmatch(r"([0-9a-f]{2}([:-](?!$)|$)){6}", value),
    "phone": lambda value: phonenumbers.is_valid_number(phonenumbers.parse(value)),
}


def test_same_seed_gives_the_same_bytes_and_another_seed_others(directory, tmp_path):
    planted.generate(tmp_path, ROWS, seed=7, suite_items=ITEMS)
    for name in ("rows.jsonl", "truth.json"):
        assert (tmp_path / name).read_bytes() == (directory / name).read_bytes()
    planted.generate(tmp_path, ROWS, seed=8, suite_items=ITEMS)
    assert (tmp_path / "rows.jsonl").read_bytes() != (directory / "rows.jsonl").read_bytes()


def test_each_fault_is_planted_at_its_rate_and_in_a_separate_row(truth):
    assert {kind: len(faults) for kind, faults in truth.planted.items()} == {
        kind: max(1, round(ROWS * rate)) for kind, rate in planted.RATES.items()
    }
    faulty = [fault["row"] for faults in truth.planted.values() for fault in faults]
    assert len(faulty) == len(set(faulty))


def test_no_original_is_faulty_or_copied_twice_and_each_comes_before_its_copy(truth):
    pairs = [(fault["original"], fault["row"]) for kind in ("exact", "near", "label_noise") for fault in truth.planted[kind]]
    originals = [original for original, _ in pairs]
    assert len(originals) == len(set(originals))
    assert all(original < copy for original, copy in pairs)
    assert not set(originals) & {fault["row"] for faults in truth.planted.values() for fault in faults}


def test_exact_duplicates_are_equal_after_normalization_but_not_always_before(truth, rows):
    pairs = [(rows[fault["original"]], rows[fault["row"]]) for fault in truth.planted["exact"]]
    assert all(list(map(words, one)) == list(map(words, other)) for one, other in pairs)
    assert 0 < sum(one == other for one, other in pairs) < len(pairs)


def test_near_duplicates_have_the_recorded_similarity_over_the_whole_range(truth, rows):
    near = truth.planted["near"]
    for fault in near:
        assert fault["jaccard"] == pytest.approx(similarity(rows[fault["original"]], rows[fault["row"]]))
        assert words(rows[fault["original"]][0]) != words(rows[fault["row"]][0]), "the same prompt would be label noise"
    found = [fault["jaccard"] for fault in near]
    assert 0.85 <= min(found) < 0.88
    assert 0.96 < max(found) < 1


def test_clean_rows_are_dissimilar_and_have_distinct_prompts(truth, rows):
    clean = truth.clean()
    assert len({tuple(words(rows[number][0])) for number in clean}) == len(clean)
    held = {number: shingles(rows[number]) for number in clean}
    holders = defaultdict(list)
    for number in clean:
        for shingle in held[number]:
            holders[shingle].append(number)
    shared = Counter(pair for numbers in holders.values() for pair in combinations(sorted(numbers), 2))
    assert max(count / len(held[one] | held[other]) for (one, other), count in shared.items()) < 0.4


def test_label_noise_answers_one_prompt_in_two_ways(truth, rows):
    for fault in truth.planted["label_noise"]:
        one, other = rows[fault["original"]], rows[fault["row"]]
        assert one[0] == other[0]
        assert words(one[1]) != words(other[1])


def test_personal_data_and_secrets_are_in_their_rows_and_valid(truth, rows):
    for fault in truth.planted["personal"]:
        assert any(fault["value"] in text for text in rows[fault["row"]])
        assert VALID[fault["kind"]](fault["value"]), fault["kind"]
    for fault in truth.planted["secret"]:
        assert any(fault["value"] in text for text in rows[fault["row"]])


def test_leaks_contain_thirteen_words_of_their_item_or_all_of_a_short_one(truth, rows):
    for fault in truth.planted["leak"]:
        prompt, item = words(rows[fault["row"]][0]), words(fault["item"])
        size = min(13, len(item))
        runs = {tuple(item[place : place + size]) for place in range(len(item) - size + 1)}
        assert any(tuple(prompt[place : place + size]) in runs for place in range(len(prompt) - size + 1))


def test_the_other_faults_match_their_names(directory, truth, rows):
    def texts(kind):
        return [rows[fault["row"]] for fault in truth.planted[kind]]

    assert all(set("".join(row)) & set(planted.INVISIBLE) for row in texts("invisible"))
    assert all("Ã" in "".join(row) for row in texts("mojibake"))
    assert all(len(set(words(completion))) <= 4 < 20 <= len(words(completion)) for _, completion in texts("repetition"))
    assert all(prompt == completion for prompt, completion in texts("echo"))
    assert all(len(words(completion)) > 1024 for _, completion in texts("oversized"))
    assert set(range(ROWS)) - rows.keys() == {fault["row"] for fault in truth.planted["broken"]}


def test_the_source_contains_no_secret():
    source = "".join(file.read_text(encoding="utf-8") for file in Path(planted.__file__).parent.glob("*.py"))
    for pattern in (r"AKIA[A-Z0-9]{16}", r"ghp_\w{36}", r"hf_\w{34}", r"BEGIN RSA PRIVATE KEY"):
        assert not re.search(pattern, source)


def test_too_few_rows_are_refused(tmp_path):
    with pytest.raises(ValueError, match="1,000 or more"):
        planted.generate(tmp_path, 10, seed=1, suite_items=ITEMS)
