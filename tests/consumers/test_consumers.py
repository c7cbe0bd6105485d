"""Each form is loaded unchanged by the programs that people run it with, and answers there as it was judged.

`make test-consumers` runs these tests. What cannot be installed or made is named at the end of the output, with the reason.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fineline import adapters
from fineline.chat.tokens import chat_format
from fineline.export import low_rank, safetensors
from fineline.export.trained import TrainedAdapter
from fineline.inference import probe
from fineline.inference.fidelity import fidelity
from fineline.inference.onnx_engine import OnnxEngine
from fineline.inference.torch_engine import TorchEngine
from fineline.models import loading
from tests.conftest import ROOT
from tests.consumers import comparison, families, record
from tests.consumers.comparison import Result, compare
from tests.consumers.consumers import CONSUMERS, Asked, Consumer, Session
from tests.consumers.environments import NotAvailable
from tests.consumers.families import FAMILIES, Family, Form

SHIPPED = "home-demo"
CASES = [
    (consumer.name, model, kind)
    for consumer in CONSUMERS.values()
    for model in (*FAMILIES, SHIPPED)
    for kind in consumer.kinds
    if (kind, model) not in [("onnx-int4", other) for other in (*FAMILIES,)[1:]]  # four bits concern no family in particular
]

pytestmark = [pytest.mark.consumers, pytest.mark.timeout(3600)]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("consumers")


class Bench:
    """Models, records and sessions, each made when it is first asked for."""

    def __init__(self, place: Path, selected: set[tuple[str, str, str]]) -> None:
        self.place, self.selected = place, selected
        self.model, self.sessions = cache(self._model), cache(self._session)

    def _model(self, name: str) -> tuple[Family, dict[str, dict[str, Any]]]:
        """Return a family, and the record of each of its forms."""
        place = self.place / name.replace(" ", "-")
        place.mkdir()
        shipped, kinds = name == SHIPPED, {kind for _, model, kind in self.selected if model == name}
        found = _shipped(place, kinds) if shipped else families.made(name, place, kinds)
        rows = _lines(ROOT / "data" / "curated" / SHIPPED / "test.jsonl") if shipped else families.rows()
        records = {}
        reference, tokens = _merged_logits(found, rows)
        for kind, form in found.forms.items():
            files = form.base or form.directory
            rounded = _engine(form, "bf16") if shipped and not kind.startswith("onnx") else None
            made = _engine(form, "fp32")
            records[kind] = record.record(made, files, rows, new_tokens=48 if shipped else 16, rounded=rounded)
            records[kind]["mean_kl"] = fidelity(reference, _logits(made, tokens)).mean_kl
        return found, records

    def _session(self, consumer: Consumer) -> Session:
        asked = {}
        for name, model, kind in CASES:
            if name != consumer.name or (name, model, kind) not in self.selected or (model == SHIPPED and not _is_made()):
                continue
            found, records = self.model(model)
            dtype = "bfloat16" if model == SHIPPED and name == "vllm" else "float32"
            if kind in found.forms:
                asked[f"{model} {kind}"] = Asked(found.forms[kind], records[kind], dtype)
        return Session(consumer, asked, self.place)


def _engine(form: Form, precision: Any) -> Any:
    if form.kind.startswith("onnx"):
        return OnnxEngine(form.directory)
    model = loading.base_model(form.base or form.directory, precision=precision)
    return TorchEngine(adapters.load(model, form.directory) if form.base else model.eval(), precision)


def _merged_logits(found: Family, rows: list[dict[str, Any]]) -> tuple[list[np.ndarray], list[list[int]]]:
    """Return the logits of the merged model on the probe rows, and these rows; both are small here."""
    merged = found.forms["safetensors"].directory
    tokens = probe.encoded(rows, chat_format(merged))
    return list(probe.torch_logits(loading.base_model(merged, precision="fp32").eval(), tokens)), tokens


def _logits(engine: Any, tokens: list[list[int]]) -> Iterator[np.ndarray]:
    return engine.rows(tokens) if isinstance(engine, OnnxEngine) else probe.torch_logits(engine.model, tokens)


def _is_made() -> bool:
    return (ROOT / "models" / "export" / SHIPPED).is_dir()


def _shipped(place: Path, kinds: set[str]) -> Family:
    """The adapter of `make demo`, in the forms that the stages made, and as a canonical adapter."""
    models = ROOT / "models"
    trained = json.loads((models / "adapters" / SHIPPED / "artifact.json").read_text(encoding="utf-8"))
    base = ROOT / trained["inputs"]["base"]["path"]
    origin = json.loads((base / "artifact.json").read_text(encoding="utf-8"))
    source = TrainedAdapter(base, models / "adapters" / SHIPPED, trained["parameters"], origin["name"], origin["parameters"])
    (place / "adapter").mkdir()
    tokens = probe.encoded(_lines(ROOT / "data" / "curated" / SHIPPED / "validation.jsonl"), chat_format(base))
    found = low_rank.build(source, place / "adapter", tokens)
    print(f"{SHIPPED}: canonical adapter {found}")
    safetensors.build(models / "merged" / SHIPPED, place / "safetensors")
    forms = [
        Form("safetensors", place / "safetensors"),
        Form("adapter", place / "adapter", base),
        Form("onnx-fp32", models / "export" / SHIPPED / "fp32"),
        Form("onnx-int4", models / "export" / SHIPPED / "quantized"),
    ]
    return Family(SHIPPED, base, {form.kind: form for form in forms if form.kind in {*kinds, "safetensors"}}, {})


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest, place: Path) -> Bench:
    """The models of the tests that were selected."""
    chosen = {tuple(item.name.partition("[")[2].rstrip("]").split("|")) for item in request.session.items}
    return Bench(place, chosen)


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """What was measured; added to the file that `--record-consumers` names when the tests have ended."""
    found: list[dict[str, Any]] = []
    yield found
    if file := request.config.getoption("--record-consumers"):
        before = json.loads(Path(file).read_text(encoding="utf-8")) if Path(file).is_file() else []
        content = json.dumps(comparison.recorded(before, found), indent=1)
        Path(file).write_text(content + "\n", encoding="utf-8")


@pytest.mark.parametrize(("consumer", "model", "kind"), CASES, ids=["|".join(case) for case in CASES])
def test_a_form_answers_as_it_was_judged(
    consumer: str, model: str, kind: str, bench: Bench, results: list[dict[str, Any]]
) -> None:
    made_for = CONSUMERS[consumer]
    if model == SHIPPED and not _is_made():
        pytest.skip(f"{SHIPPED}: models/ is empty; run `make demo` first")
    found, records = bench.model(model)
    if reason := found.refused.get(kind):
        pytest.skip(f"{model} as {kind}: {reason}")
    row: dict[str, Any] = {"model": model, "form": kind, "consumer": consumer}
    results.append(row)
    try:
        answer = bench.sessions(made_for).answers[f"{model} {kind}"]
    except NotAvailable as error:
        row["not_run"] = str(error)
        pytest.skip(f"{consumer}: {error}")
    if "error" in answer:
        row["not_run"] = answer["error"].strip().splitlines()[-1]
        pytest.fail(f"{consumer} cannot run {model} as {kind}:\n{answer['error']}", pytrace=False)
    form = found.forms[kind]
    asked = bench.sessions(made_for).asked[f"{model} {kind}"]
    chat = chat_format(form.base or form.directory)
    result: Result = compare(answer, records[kind], asked.dtype, chat.tokenizer.decode)
    size = sum(file.stat().st_size for file in form.directory.iterdir() if file.suffix in (".safetensors", ".onnx", ".data"))
    versions = {package: answer["versions"][package] for package in made_for.packages}
    row |= {"versions": versions, "dtype": asked.dtype, "bytes": size, "mean_kl": records[kind]["mean_kl"], **asdict(result)}
    assert not result.problems, "; ".join(result.problems)
