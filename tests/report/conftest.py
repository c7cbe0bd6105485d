"""A project in which adapter `home` was judged, as far as its files in git and its answers show it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline.artifacts import reports
from fineline.report import page
from tests.conftest import small_params, write_lines
from tests.evaluate.decisions import decision, entry

HOSTILE = "</code><script>alert('x')</script><img src=x onerror=alert(1)>"


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def judged(difference: float = 0.2, verdict: str = "pass") -> dict[str, Any]:
    """The decision on one model: a measure that must improve, a guard, and a measure that is reported."""
    rules = [
        entry("target", "must_improve", difference, verdict=verdict, reason=f"target: {difference:+.1%}."),
        entry("guard", "must_not_regress", 0.01),
        entry("poems", "info", -0.1),
    ]
    scores = {arm: {"target": 0.5, "guard": 0.5, "poems": 0.5} for arm in ("base", "candidate")}
    return decision(*rules, verdict=verdict, scores=scores)


def answer(item: int, score: float, text: str, question: str = "Turn on the lamp?") -> dict[str, Any]:
    """One line of samples/<arm>.jsonl."""
    scores = {"target": score}
    return {"task": "t", "item": item, "scores": scores, "question": question, "answer": text, "expected": "on"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory; its adapter passed."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(small_params(tmp_path / "elsewhere")))
    arms = {"base": {"digest": digest("a")}, "candidate": {"digest": digest("c")}}
    models = {"base": "a", "adapter": "c", "merged": "d", "candidate": "e"}
    chosen = {"memory_bytes": {"base": 2**29, "context": 2**29, "total": 2**30}, "seconds": 60.0}
    shown = {
        "gate": judged() | {"arms": arms, "policy": {"evidence": []}},
        "candidate": {"verdict": "pass", "reasons": ["merged: fine."], "evidence": []}
        | {"forms": {"merged": judged(), "exported": judged(0.19)}}
        | {role: {"digest": digest(letter)} for role, letter in models.items()},
        "curation": {
            "dataset": digest("b"),
            "rows_in": 1000,
            "kept": 960,
            "removed": {"privacy": 40, "quality": 0},
            "reasons": {"privacy: e-mail address": 40},
            "splits": {"train": {"rows": 900, "tokens": 9000}, "test": {"rows": 60, "tokens": 600}},
        },
        "plan": {"chosen": chosen},
        "settings": {"train": {"method": "qlora"}},
        "training": {"seconds": 240.0, "best_validation_loss": 0.25, "best_step": 20, "steps": 20}
        | {"memory": {"predicted": chosen["memory_bytes"], "measured": 2**30 * 3 // 2}, "time": {"measured": 240.0}},
        "merge": {"passed": True, "digest": digest("d")},
        "export": {
            "parity": {"passed": True},
            "forms": {
                "fp32": form("fp32", "f", 5 * 10**8),
                "quantized": form("int4", "e", 10**8),
            },
        },
    }
    for name, content in shown.items():
        reports.write(Path("reports/home", f"{name}.json"), content)
    Path("reports/home/loss.csv").write_text("step,loss,learning_rate\n10,2.0,0.1\n20,1.0,0.1\n")
    Path("reports/home/validation_loss.csv").write_text("step,loss\n20,0.25\n")
    return tmp_path


def form(precision: str, letter: str, size: int) -> dict[str, Any]:
    return {
        "precision": precision,
        "bytes": size,
        "tokens_per_second": 20.0,
        "mean_kl": 0.01,
        "top1_agreement": 0.99,
        "digest": digest(letter),
    }


def answered(hostile: str = "") -> None:
    """Put the answers of both models into the working directory: one item was lost, one gained."""
    base = [answer(0, 1.0, "on"), answer(1, 0.0, "off", hostile or "Lamp off?")]
    exported = [answer(0, 0.0, hostile or "off"), answer(1, 1.0, "on")]
    write_lines(Path("reports/home/evaluation/samples/base.jsonl"), base)
    write_lines(Path("reports/home/assessment/samples/exported.jsonl"), exported)


def change(report: str, **values: Any) -> None:
    """Change values of a report in the working directory."""
    file = Path("reports/home", f"{report}.json")
    reports.write(file, json.loads(file.read_text()) | values)


def written() -> str:
    """The page that `assess` writes."""
    return page.write("home").read_text()


def written_local() -> str:
    """The copy that `fineline report home --open` shows."""
    return page.write_local("home").read_text()
