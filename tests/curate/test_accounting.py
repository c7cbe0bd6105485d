"""For any input, every row is in exactly one split or in left_out.jsonl, and the counts add up."""

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)
WORDS = st.lists(st.sampled_from(["turn", "on", "off", "the", "lamp", "fan", "a@b.example", "\x00", "Ã©"]), max_size=25).map(
    " ".join
)
VALUE = st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXT, st.lists, max_leaves=6)
TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system", "tool", "x"]), "content": WORDS | VALUE})
ROW = st.one_of(
    st.fixed_dictionaries({"prompt": WORDS, "completion": WORDS}),
    st.fixed_dictionaries({"instruction": WORDS, "input": WORDS, "output": WORDS | VALUE}),
    st.fixed_dictionaries({"messages": st.lists(TURN, max_size=4)}),
    st.fixed_dictionaries({"question": VALUE, "answer": VALUE}),
    st.dictionaries(TEXT, VALUE, max_size=3),
)
LINE = st.one_of(
    ROW.map(lambda row: json.dumps(row).encode()),
    ROW.map(lambda row: json.dumps(row, ensure_ascii=False).encode("utf-16")[:50]),
    st.binary(max_size=30).filter(lambda line: b"\n" not in line),
    st.integers(1, 5000).map(lambda depth: b"[" * depth + b"]" * depth),
    st.just(b'{"prompt": "lamp", "prompt": "fan", "completion": "x"}'),
    st.just(b""),
)

ALWAYS = [  # one row for each outcome, so that every outcome occurs
    b'{"prompt": "how do I get to the lake", "completion": "by bus"}',
    b'{"prompt": "How do I get to  the LAKE", "completion": "by bus"}',
    b'{"prompt": "which bus", "completion": "the first"}',
    b'{"prompt": "which bus", "completion": "the second"}',
    b'{"prompt": "say it", "completion": "say it"}',
    b'{"prompt": "Say hello.", "completion": "hello"}',
    b'{"prompt": "half',
]


@pytest.mark.parametrize("examples", [12, pytest.param(60, marks=pytest.mark.slow)])
def test_no_row_is_lost(run, examples):
    """One project, many inputs."""
    outcomes = Counter()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.lists(LINE, min_size=1, max_size=40))
    def check(lines):
        curated = run(b"\n".join([*ALWAYS, *lines]), split={"validation": 0, "test": 0}, guards=("greetings",))
        came_in = [row["id"] for row in curated.raw]
        kept = [row["id"] for row in curated.rows]
        out = [row["id"] for row in curated.left_out]
        assert len(set(came_in)) == len(came_in) == curated.report["rows_in"]
        assert sorted(kept + out) == sorted(came_in)
        assert curated.report["kept"] == len(kept)
        assert Counter(row["step"] for row in curated.left_out) == +Counter(curated.report["removed"])
        assert all(row["reason"] for row in curated.left_out)
        assert {row["id"] for row in curated.changed} <= set(came_in)
        assert curated.report["checks"]["links_across_splits"] == 0
        outcomes.update(curated.report["removed"])

    check()
    assert (
        min(outcomes[step] for step in ("rejected", "quality", "contamination", "label_noise", "exact_duplicates")) >= examples
    )


def test_a_line_of_ten_megabytes_is_a_row_like_any_other(run):
    long = json.dumps({"prompt": "x", "completion": "y" * 10_000_000}).encode()
    curated = run(b'{"prompt": "a", "completion": "b"}\n' + long, split={"validation": 0, "test": 0})
    assert [row["messages"][-1]["content"] for row in curated.rows] == ["b"]
    assert "more than `curate.max_tokens`" in curated.left_out[0]["reason"]
