"""A class of transformers' mappings through training, judging, merging and exporting, on a tiny random model."""

import contextlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance

from fineline import adapters
from fineline.adapters.methods import METHODS
from fineline.chat.tokens import encode, tokenizer_of
from fineline.export import trial
from fineline.inference import probe
from fineline.inference.fidelity import fidelity
from fineline.inference.scorer import Scorer
from fineline.inference.torch_engine import TorchEngine
from fineline.merge import weights
from fineline.models import bases, loading
from fineline.models.config import Quantization
from fineline.models.quiet import quiet
from fineline.project.params.training import Train
from fineline.train import loop
from tests import own_step, zoo
from tests.conftest import commands

LARGEST_KL = 1e-6  # of two fp32 models
ROWS = 12
DONE = "yes"


@dataclass
class Outcome:
    """How far a class came: a line of docs/models.md."""

    architecture: str
    base: str = ""
    trained: str = ""
    """`flat` or `plain`, the path of the training."""
    judged: str = ""
    merged: str = ""
    formats: str = ""
    reason: str = ""
    """Why the first stage that failed did."""
    own: str = ""
    """Why transformers itself cannot train a step of it on text; empty if it can, or if every stage was passed."""
    detail: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def passed(self) -> bool:
        """True if every stage was passed."""
        return not self.reason


def run(entry: zoo.Entry, place: Path, method: str = "lora", *, formats: bool = True) -> Outcome:
    """Take a class through all stages, in fp32, and return how far it came.

    Args:
        place: Empty directory.
        formats: Try the ONNX builder too, which takes longest.
    """
    outcome = Outcome(entry.architecture)
    stage = "base"
    try:
        with _silent():
            base = zoo.save(entry.model_type, entry.kind, place / "base")
            bases.prepare(base)
            outcome.base = DONE
            stage = "trained"
            rows = _rows(base)
            trained = _train(base, rows, place, method)
            outcome.trained = str(trained.metrics["path"])
            outcome.detail["path"] = trained.metrics["path_reason"]
            stage = "judged"
            outcome.detail["reading"] = _judge(trained.model, base)
            outcome.judged = DONE
            stage = "merged"
            merged = _merge(trained.model, base, rows, place, method)
            outcome.merged = DONE
            stage = "formats"
            outcome.formats = ", ".join(["safetensors", *(_onnx(merged) if formats else [])])
    except Exception as error:  # the table says what every class ends with
        outcome.reason = f"{stage}: {_reason(error, place)}"
        outcome.own = own_step.reason_against(entry)
    return outcome


def _rows(base: Path) -> list[Any]:
    tokenizer = tokenizer_of(base)
    given = commands()[:ROWS]
    return [
        encode(
            tokenizer,
            {"messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]},
        )
        for row in given
    ]


def _train(base: Path, rows: list[Any], place: Path, method: str) -> Any:
    torch.manual_seed(0)
    more = {"dequantize": False} if METHODS[method].quantized else {}
    config = Train(
        method=method, rank=4, alpha=8, epochs=2, batch_size=4, learning_rate=0.01, precision="fp32", recompute=False, **more
    )
    trained = loop.train(base, rows[:-4], rows[-4:], config, report=place / "report", scratch=place / "scratch")
    losses = [trained.metrics[key] for key in ("train_loss", "validation_loss")]
    if not all(torch.isfinite(torch.tensor(losses))):
        raise AssertionError(f"the loss is not finite: {losses}")
    adapters.save(trained.model, place / "adapter")
    return trained


def _judge(model: Any, base: Path) -> str:
    """Score and continue prompts, and compare with the model's own forward pass."""
    engine, tokenizer = TorchEngine(model, "fp32"), tokenizer_of(base)
    scorer = Scorer(engine, tokenizer)
    prompts = [f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n" for row in commands()[:3]]
    asked = [Instance("loglikelihood", {}, (prompt[:-1], f"\n{answer}"), 0) for prompt in prompts for answer in ("on", "off")]
    found = [value for value, _ in scorer.loglikelihood(asked)]
    expected = [_own(model, tokenizer, *request.args) for request in asked]
    worst = max(abs(one - other) for one, other in zip(found, expected, strict=True))
    if not worst < 1e-3:
        raise AssertionError(f"a score differs from the model's own by {worst:.1e}")
    settings = {"until": [], "max_gen_toks": 8, "do_sample": False}
    texts = scorer.generate_until([Instance("generate_until", {}, (prompt, settings), 0) for prompt in prompts])
    if len(texts) != len(prompts):
        raise AssertionError(f"{len(texts)} answers to {len(prompts)} prompts")
    return engine.path


def _own(model: Any, tokenizer: Any, context: str, answer: str) -> float:
    """Return the log-likelihood of an answer by one forward pass of the model."""
    before, after = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (context, answer))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([before + after]), use_cache=False).logits[0].float()
    likely = logits.log_softmax(-1)[len(before) - 1 : -1]
    return float(likely[range(len(after)), after].sum())


def _merge(trained: Any, base: Path, rows: list[Any], place: Path, method: str) -> Path:
    into = place / "merged"
    into.mkdir()
    quantization = Quantization() if METHODS[method].quantized else None
    model = adapters.load(loading.base_model(base, quantization=quantization, precision="fp32"), place / "adapter")
    weights.write(base, model, into, METHODS[method], "fp32")
    tokens = [row.input_ids for row in rows[:4]]
    read = loading.base_model(into, precision="fp32").eval()
    found = fidelity(probe.torch_logits(weights.reference(model), tokens), probe.torch_logits(read, tokens))
    if not found.mean_kl < LARGEST_KL:
        raise AssertionError(f"the merged model differs: mean KL {found.mean_kl:.1e}")
    return into


def _onnx(merged: Path) -> Iterator[str]:
    reasons = trial.reasons(merged)
    if reasons and not any(reasons.values()):
        yield "onnx"


@contextmanager
def _silent() -> Iterator[None]:
    with quiet(), contextlib.redirect_stdout(io.StringIO()):
        yield


def _reason(error: Exception, place: Path) -> str:
    """Return the message of an error in one line, without paths of this run."""
    text = " ".join(str(error).replace(f"{place}/", "").split()) or type(error).__name__
    ours = type(error).__module__.startswith("fineline") or isinstance(error, AssertionError)
    return ("" if ours else f"{type(error).__name__}: ") + _short(text)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200].rpartition(" ")[0]
