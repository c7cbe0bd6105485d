"""Projects that are only ingested and curated."""

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline.artifacts import reports
from fineline.project import layout
from fineline.stages import base, curate, ingest
from tests.conftest import ROOT, small_params, write_lines, write_project


@dataclass(frozen=True)
class Curated:
    """The results of `curate@home` at the time of the run."""

    report: dict[str, Any]
    splits: dict[str, list[dict[str, Any]]]
    left_out: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    label_noise: list[dict[str, Any]]
    raw: list[dict[str, Any]]
    files: dict[str, bytes]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of all splits."""
        return [row for rows in self.splits.values() for row in rows]

    def completions(self) -> set[str]:
        """Return the completions that stayed."""
        return {row["messages"][-1]["content"] for row in self.rows}


Run = Callable[..., Curated]
SHOWING = (
    "{% if tools %}{{ '<|im_start|>system\n' + (tools | tojson) + '<|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['reasoning_content'] %}{{ '<think>' + message['reasoning_content'] + '</think>' }}{% endif %}"
    "{{ message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}"
    "{{ '<tool_call>' + (call['function'] | tojson) + '</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""A chat template that shows tools, calls and reasoning, and writes every other row as that of `tiny_base` does."""


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A directory with the results of `base` for the tiny base with the template `SHOWING`."""
    directory = tmp_path_factory.mktemp("fetched")
    shutil.copytree(tiny_base, directory / "base")
    (directory / "base" / "chat_template.jinja").write_text(SHOWING, encoding="utf-8")
    write_project(directory, small_params(directory / "base"))
    with contextlib.chdir(directory):
        base.run("tiny")
    return directory


@pytest.fixture
def run(tmp_path: Path, fetched: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Curates rows, or the bytes of a JSONL file, with changes to the curate block; can be called again."""

    def curated(data: bytes | list[dict[str, Any]], guards: tuple[str, ...] = (), source: Any = None, **rule: Any) -> Curated:
        params = small_params(fetched / "base")
        home = params["adapters"]["home"]
        home["curate"] = {"max_rejected": 1, "split": {"validation": 0, "test": 0.3}} | rule
        home["evaluate"] = {"guards": list(guards)}
        if source:
            home["source"] = source
        if not (tmp_path / "suites").exists():
            write_project(tmp_path, params)
            shutil.copytree(ROOT / "suites" / "mmlu_dev", tmp_path / "suites" / "mmlu_dev")
            monkeypatch.chdir(tmp_path)
            shutil.copytree(fetched / "models", tmp_path / "models")
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        if isinstance(data, bytes):
            (tmp_path / "commands.jsonl").write_bytes(data)
        else:
            write_lines(tmp_path / "commands.jsonl", data)
        ingest.run("home")
        curate.run("home")
        return collect()

    return curated


def collect() -> Curated:
    """Read the current results."""
    where, raw = layout.curated("home"), layout.raw("home")
    lines = {name: reports.read_lines(where / f"{name}.jsonl") for name in ("left_out", "changed", "label_noise")}
    return Curated(
        report=reports.read(layout.reports("home") / "curation.json"),
        splits={name: reports.read_lines(where / f"{name}.jsonl") for name in ("train", "validation", "test")},
        raw=[row for file in sorted(raw.glob("*.jsonl")) for row in reports.read_lines(file)],
        files={path.name: path.read_bytes() for path in sorted(where.iterdir())},
        **lines,
    )
