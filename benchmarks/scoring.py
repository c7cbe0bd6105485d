"""Scoring speed: fineline's scorer against lm-eval's own model classes, on the same requests of the shipped adapter.

`make bench` after `make demo`. Both peers run in this process and take turns: Hugging Face models on one and the same model
object, in fp32, unpacked and with the adapter in its weights for both, as `evaluate` has it, then the exported model in
lm-eval's `onnxruntime-genai` class and in ours. Answers are compared one by one, so that speed is not bought with other
results.
"""

import logging
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.models.onnxruntime_genai import ONNXRuntimeGenAILM

from fineline import adapters, artifacts
from fineline.adapters import methods
from fineline.chat.tokens import tokenizer_of
from fineline.evaluate import target, tasks
from fineline.inference.onnx_engine import OnnxEngine
from fineline.inference.scorer import Scorer
from fineline.inference.torch_engine import TorchEngine
from fineline.models import loading
from fineline.project import layout, params
from fineline.stages import handover
from fineline.suites import guards
from fineline.suites.task import Task
from resident import Peak

ADAPTER = "home-en"
QUESTIONS = "mmlu_dev"
SHOTS = 4
ITEMS = 32  # of each task
ITEMS_WITH_SHOTS = 16  # a peer reads the worked items again before every choice
ITEMS_WRITTEN = 128
ROUNDS = 2  # the better one counts: other work on the machine disturbs now one, now the other
BATCH = 16  # rows, for HFLM; it sorts them by length itself
WRITTEN = 64  # rows that HFLM writes at once: it is faster with them than with 16 or 32

Answer = Any
"""A text, the log-likelihood of a text, or a log-likelihood and whether greedy decoding gives the continuation."""


def main() -> None:
    """Print two tables: PyTorch, ONNX."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    block = params.load().adapter(ADAPTER)
    tokenizer = tokenizer_of(layout.base(block.base))
    splits = handover.read_rows(layout.curated(ADAPTER), "test", "train")
    found = {task.name: task for task in tasks.build(block.evaluate, splits["test"], splits["train"], tokenizer)}
    kinds = {
        f"choice, {QUESTIONS}": found[QUESTIONS],
        "choice, target": found[target.CHOICE],
        f"choice, {SHOTS} shots": _with_shots(guards.task(QUESTIONS).first(ITEMS_WITH_SHOTS + SHOTS)),
        "gold likelihood": found[target.GOLD],
        "generation": found[target.GENERATION],
    }
    requests = {kind: requests_of(task, tokenizer) for kind, task in kinds.items()}
    print(f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {loading.device().type}, fp32, {ROUNDS} rounds")

    model = shipped(block.base)
    standard = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=BATCH)
    written = requests.pop("generation")
    _table("lm-eval HFLM", standard, Scorer(TorchEngine(model, "fp32"), tokenizer), requests)
    standard = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=WRITTEN)
    _table("lm-eval HFLM", standard, Scorer(TorchEngine(model, "fp32"), tokenizer), {"generation": written})
    del model, standard

    exported = layout.export(ADAPTER, "quantized")
    genai = ONNXRuntimeGenAILM(str(exported))
    _table(
        "lm-eval onnxruntime-genai", genai, Scorer(OnnxEngine(exported), tokenizer), requests | {"generation": written[:ITEMS]}
    )


def shipped(base: str) -> Any:
    """The shipped adapter in the weights of its base, in fp32."""
    quantization = methods.quantization_of(artifacts.read(layout.adapter(ADAPTER)).parameters)
    model = loading.base_model(layout.base(base), quantization=quantization, precision="fp32")
    loading.dequantize(model, torch.float32)
    model = adapters.load(model, layout.adapter(ADAPTER))
    model.merge_adapter()
    return model


def _table(name: str, peer: Any, own: Any, requests: dict[str, list[Any]]) -> None:
    print(
        f"\n{name:<26} {'requests':>8} {'peer':>11} {'fineline':>11} {'ratio':>6} {'difference':>10} {'same':>6} {'memory':>17}"
    )
    took = {peer: 0.0, own: 0.0}
    for kind, asked in requests.items():
        for subject in (peer, own):  # warm
            answers_of(subject, asked[:4])
        best: dict[Any, tuple[float, list[Answer], int]] = {}
        for _ in range(ROUNDS):
            for subject in (peer, own):
                measured = _measured(subject, asked)
                best[subject] = min(best.get(subject, measured), measured, key=lambda one: one[0])
        slow, fast = best[peer], best[own]
        took = {peer: took[peer] + slow[0], own: took[own] + fast[0]}
        difference, same = agreement(asked, slow[1], fast[1])
        print(
            f"{kind:<26} {len(asked):>8} {len(asked) / slow[0]:>9.1f}/s {len(asked) / fast[0]:>9.1f}/s"
            f" {slow[0] / fast[0]:>6.2f} {difference:>10} {same:>6} {slow[2] >> 20:>6} and {fast[2] >> 20:>4} MB",
            flush=True,
        )
    print(f"{'all of it':<26} {'':>8} {took[peer]:>10.1f}s {took[own]:>10.1f}s {took[peer] / took[own]:>6.2f}")


def _measured(subject: Any, asked: list[Any]) -> tuple[float, list[Answer], int]:
    """Seconds, answers, and bytes of memory that the process took on meanwhile, at most."""
    with Peak() as peak:
        started = time.perf_counter()
        answers = answers_of(subject, asked)
        seconds = time.perf_counter() - started
    return seconds, answers, peak.grown


def answers_of(subject: Any, asked: list[Any]) -> list[Answer]:
    """Return the answers of a model to requests of one type."""
    answers: list[Answer] = getattr(subject, asked[0].request_type)(asked, disable_tqdm=True)
    return answers


def agreement(asked: list[Any], expected: list[Answer], found: list[Answer]) -> tuple[str, str]:
    """The largest relative difference of two log-likelihoods, and the share of items that are decided alike: the same text,
    the same choice, or for a single continuation whether greedy decoding gives it. Whole texts decide nothing."""
    if isinstance(expected[0], str):
        return "", f"{np.mean([one == two for one, two in zip(expected, found, strict=True)]):.1%}"
    whole = isinstance(expected[0], float)
    one, two = (np.array(answers if whole else [score for score, _ in answers]) for answers in (expected, found))
    difference = f"{np.max(np.abs(one - two) / np.abs(one)):.1e}"
    if whole:
        return difference, ""
    items: dict[int, list[int]] = {}
    for place, request in enumerate(asked):
        items.setdefault(request.doc_id, []).append(place)
    if len(items) == len(asked):
        return difference, f"{np.mean([first[1] == second[1] for first, second in zip(expected, found, strict=True)]):.1%}"
    return difference, f"{np.mean([one[places].argmax() == two[places].argmax() for places in items.values()]):.1%}"


def requests_of(task: Task, tokenizer: Any) -> list[Any]:
    """Return what the harness would ask a model: prompts with the chat template.

    fineline's scorer renders them for all peers alike, because that of onnxruntime-genai does not know chat templates.
    """
    items = ITEMS_WRITTEN if task.output_type == "generate_until" else ITEMS
    built = task.first(items + SHOTS).built()
    built.build_all_requests(
        samples=list(range(SHOTS, len(built.eval_docs))),
        apply_chat_template=not task.rendered,
        fewshot_as_multiturn=not task.rendered,
        chat_template=None if task.rendered else Scorer(None, tokenizer).apply_chat_template,  # type: ignore[arg-type]
    )
    return list(built.instances)


def _with_shots(task: Task) -> Task:
    """The task with the same worked items before every question: the first ones, which are not asked."""
    definition = task.definition | {"num_fewshot": SHOTS, "fewshot_split": "test", "fewshot_config": {"sampler": "first_n"}}
    return Task(task.name, task.measures, task.clusters, task.items, definition)


def _processor() -> str:
    names = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return names[0] if names else os.uname().machine


if __name__ == "__main__":
    main()
