"""Releases, approvals and a ledger made before the reshape get the same answers as then (before_reshape/README.md).

Exit codes and JSON are compared exactly. Of text, the facts are compared: digests, times, people, actions, channels, verdicts,
paths and numbers. The words between them may improve.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "before_reshape"
EXPECTED = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
FACTS = re.compile(
    r"[0-9a-f]{12,}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\d+(?:\.\d+)?|\b(?:ada|bob|cho|dan|eve)\b|\b(?:staging|production|canary)\b"
    r"|\b(?:approved|rejected|promoted|rolled back|revoked)\b|\b(?:pass|fail|inconclusive)\b|[\w{}./-]+/[\w.-]+"
)


def _questions():
    spec = importlib.util.spec_from_file_location("replay", HERE / "replay.py")
    replay = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(replay)
    return list(replay.questions(EXPECTED))


QUESTIONS = _questions()


@pytest.fixture(scope="module")
def answers():
    """All answers of the present code, in the order of the questions."""
    environment = os.environ | EXPECTED["environment"]
    command = [sys.executable, str(HERE / "replay.py")]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def facts(text):
    """Return how often each fact is in a text."""
    return Counter(FACTS.findall(text))


@pytest.mark.parametrize("number", range(len(QUESTIONS)), ids=[f"{what}: {' '.join(c['arguments'])}" for what, c in QUESTIONS])
def test_the_answer_is_as_before(answers, number):
    _, then = QUESTIONS[number]
    now = answers[number]
    assert now["exit"] == then["exit"], now["stderr"]
    if "--json" in then["arguments"] and then["exit"] == 0:
        assert json.loads(now["stdout"]) == json.loads(then["stdout"])
        return
    for stream in ("stdout", "stderr"):
        assert facts(now[stream]) == facts(then[stream]), now[stream]


def test_every_question_has_an_answer(answers):
    assert len(answers) == len(QUESTIONS) == 68
