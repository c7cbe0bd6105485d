"""The comparison of a consumer's answers with the record finds every way in which they can differ."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.consumers import environments
from tests.consumers.comparison import compare, recorded
from tests.consumers.consumers import CONSUMERS

RECORD = {
    "prompts": [[1, 2], [3, 4]],
    "answers": ["5 6", "7"],
    "expected": ["5 6", "8"],
    "loglikelihoods": [-1.0, -2.0],
    "tolerance": {"float32": 1e-3, "bfloat16": 0.05},
}
FOUND = {
    "prompts": [[1, 2], [3, 4]],
    "answers": [[5, 6], [7]],
    "loglikelihoods": [-1.0, -2.0005],
    "base": [-4.0, -5.0],
    "seconds": 2.0,
}


def decode(ids: Any) -> str:
    return " ".join(map(str, ids))


def test_a_consumer_that_runs_what_was_judged_has_no_problems() -> None:
    found = compare(FOUND, RECORD, "float32", decode)
    assert found.problems == ()
    assert (found.difference, found.base_difference) == (pytest.approx(2.5e-4), 3.0)
    assert (found.same_answers, found.exact_match, found.tokens_per_second) == (1, 0.5, 2.5)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"prompts": [[1, 2], [3, 4, 5]]}, "50% of prompts are tokenized differently"),
        ({"loglikelihoods": [-1.0, -2.1]}, "likelihoods differ by 0.05 nats"),
        ({"loglikelihoods": [-1.0, float("nan")]}, "likelihoods differ by nan"),
        ({"loglikelihoods": [-4.0, -5.0]}, "likelihoods differ by 3 nats"),
        ({"base": [-1.0, -2.0005]}, "the base alone is as near"),
        ({"answers": [[5, 6], [8]]}, "50% of the answers are the same"),
    ],
)
def test_a_difference_is_a_problem(changed: dict[str, Any], problem: str) -> None:
    assert any(problem in one for one in compare(FOUND | changed, RECORD, "float32", decode).problems)


def test_bf16_has_a_wider_tolerance() -> None:
    found = FOUND | {"loglikelihoods": [-1.04, -2.04]}
    assert compare(found, RECORD, "bfloat16", decode).problems == ()
    assert compare(found, RECORD, "float32", decode).problems


def test_a_result_replaces_the_one_of_the_same_form_and_consumer() -> None:
    old = {"model": "a", "form": "adapter", "consumer": "vllm", "difference": 1}
    other, new = old | {"consumer": "onnx"}, old | {"difference": 2}
    assert recorded([old, other], [new]) == [other, new]


def test_every_consumer_has_a_list_of_pinned_packages() -> None:
    for consumer in CONSUMERS.values():
        lines = (environments.HERE / f"{consumer.name}.txt").read_text(encoding="utf-8").splitlines()
        pinned = {line.partition("==")[0] for line in lines if "==" in line}
        assert {line for line in lines if not line.startswith("#") and "==" not in line} == set()
        assert set(consumer.packages) <= pinned


def test_programs_import_nothing_of_fineline() -> None:
    for program in (environments.HERE / "programs").glob("*.py"):
        assert "fineline" not in program.read_text(encoding="utf-8").replace("fineline's", ""), program


def test_an_environment_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "HERE", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "broken.txt").write_text("--no-index\nno-such-package==1\n", encoding="utf-8")
    with pytest.raises(environments.NotAvailable, match="no-such-package"):
        environments.python("broken")
    (tmp_path / "another.txt").write_text("", encoding="utf-8")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(environments.NotAvailable, match="uv is not installed"):
        environments.python("another")


def test_a_consumer_that_crashes_does_not_take_the_next_request_with_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os\nfrom protocol import serve\n"
        "def answer(request):\n"
        "    if request['kind'] == 'crash':\n        os.abort()\n"
        "    if request['kind'] == 'raise':\n        raise ValueError('wrong')\n"
        "    return {'fine': True}\n"
        "serve(answer, ())\n",
        encoding="utf-8",
    )
    files: list[str] = []
    for kind in ("crash", "raise", "fine"):
        (tmp_path / f"{kind}.json").write_text(json.dumps({"kind": kind}), encoding="utf-8")
        files += [str(tmp_path / f"{kind}.json"), str(tmp_path / f"{kind}.answer")]
    paths = os.environ | {"PYTHONPATH": str(ROOT / "tests" / "consumers" / "programs")}
    subprocess.run([sys.executable, str(program), *files], env=paths, check=True)
    crashed, raised, fine = (json.loads(Path(file).read_text(encoding="utf-8")) for file in files[1::2])
    assert "without an answer" in crashed["error"]
    assert "ValueError: wrong" in raised["error"]
    assert fine == {"fine": True, "versions": {}}
