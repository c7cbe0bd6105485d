"""Families that people fine-tune, through the whole chain, against plain transformers.

The models are tiny and random; tokenizers, templates and end tokens behave like the real ones (tests/families.py).
"""

import json
from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance
from transformers import AutoModelForCausalLM

from fineline import adapters, artifacts
from fineline.artifacts import reports
from fineline.chat.settings import ChatSettings
from fineline.chat.tokens import IGNORED, chat_format, encode, tokenizer_of
from fineline.inference.scorer import Scorer
from fineline.inference.torch_engine import TorchEngine
from fineline.models import loading
from fineline.project import layout
from fineline.project.params.training import Train
from fineline.stages import assess, base, curate, evaluate, export, ingest, merge, plan, train
from fineline.train import choice
from tests import families
from tests.conftest import commands, small_params, write_lines, write_project

ROWS, NEW = 48, 12
GRADIENT = 1e-5
"""Largest relative difference of a gradient in fp32."""
DATED = ("Llama 3", "gpt-oss", "SmolLM3")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def made(name, place):
    """Make the project of a family in a directory, and return the names of its stages in order."""
    family = families.FAMILIES[name]
    params = small_params(families.save(family, place / "tiny"))
    block = params["adapters"]["home"]
    block["curate"] |= {
        "max_tokens": 256,
        "split": {"validation": 0.1, "test": 0.3, "salt": "t"},
        "chat": {**family.chat, "system": "merge"},
    }
    block["train"] = {"method": "lora", "rank": 4, "alpha": 8, "learning_rate": 0.01, "epochs": 2, "batch_size": 8}
    block["train"] |= {"precision": "fp32"}
    block["evaluate"] = {
        "target": {"metrics": ["exact_match", "gold"], "max_new_tokens": NEW},
        "guards": [],
        "gate": {"must_improve": {"target_gold": 0}},
    }
    block["export"] = {"formats": ["safetensors"]}
    write_project(place, params)
    rows = [{key: row[key] for key in ("prompt", "completion")} for row in commands()[:ROWS]]  # each a cluster of its own
    write_lines(place / "commands.jsonl", rows)


@pytest.mark.parametrize("name", families.FAMILIES)
def test_a_family_becomes_a_candidate_that_answers_as_transformers_does(name, tmp_path, monkeypatch):
    made(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    base.run("tiny")
    for stage in (ingest, curate, plan, train, evaluate, merge, export, assess):
        stage.run("home")

    found = reports.read(layout.reports("home") / "candidate.json")
    assert found["verdict"] == "pass", found
    assert artifacts.verified(layout.export("home", "safetensors"))

    settings = ChatSettings.model_validate(artifacts.read(layout.adapter("home")).parameters.get("chat", {}))
    chat, rows = chat_format(layout.base("tiny"), settings), reports.read_lines(layout.curated("home") / "train.jsonl")
    _check_prompts(name, chat, rows)
    encoded = [encode(chat, row) for row in rows[:4]]
    _check_ends(name, chat, encoded)
    _check_gradients(encoded)
    _check_answers(chat, [chat.prompt(row["messages"][:-1]) for row in rows[:4]])


def _check_prompts(name, chat, rows):
    """The prompt is what `apply_chat_template` writes; a template that asks for the date gets the one of the settings."""
    tokenizer = tokenizer_of(layout.base("tiny"))
    prompt = chat.prompt(rows[0]["messages"][:-1])
    if name in DATED:
        assert "2026" in prompt
        return
    variables = families.FAMILIES[name].chat.get("variables", {})
    expected = tokenizer.apply_chat_template(rows[0]["messages"][:-1], tokenize=False, add_generation_prompt=True, **variables)
    assert prompt == expected


def _check_ends(name, chat, encoded):
    """Every answer ends with a token that ends generation, there is one beginning of the text, and the answer is learned."""
    tokenizer = tokenizer_of(layout.base("tiny"))
    stops = json.loads((layout.merged("home") / "generation_config.json").read_text())["eos_token_id"]
    for row in encoded:
        learned = [label for label in row.labels if label != IGNORED]
        text = tokenizer.decode(learned)
        end = next(token for token in reversed(learned) if tokenizer.decode([token]).strip())
        assert end in (stops if isinstance(stops, list) else [stops]), f"{name}: {text!r}"
        assert text.count('{"intent"') == 1
        begin = tokenizer.bos_token_id
        assert row.input_ids.count(begin) == int(begin in row.input_ids)


def _check_gradients(encoded):
    """The path that training takes has the gradients of the model's own forward pass, row by row."""
    torch.manual_seed(0)
    model = loading.base_model(layout.base("tiny"), precision="fp32")
    model = adapters.attach(model, Train(method="lora", rank=4, alpha=8, precision="fp32"), layout.base("tiny"))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in weights:
        torch.nn.init.normal_(weight, std=0.02)
    path = choice.choose(model, encoded, "fp32")
    model.eval()
    with path.ready(model):
        ours = torch.autograd.grad(path.loss(model, path.collate(encoded), None, "fp32"), weights)
    total = 0.0
    for row in encoded:
        logits = model(input_ids=torch.tensor([row.input_ids]), use_cache=False).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, torch.tensor(row.labels[1:]), ignore_index=IGNORED, reduction="sum")
    learned = sum(label != IGNORED for row in encoded for label in row.labels[1:])
    plain = torch.autograd.grad(total / learned, weights)
    one, other = (torch.cat([gradient.flatten() for gradient in some]) for some in (ours, plain))
    assert torch.linalg.vector_norm(one - other) <= GRADIENT * torch.linalg.vector_norm(other)


def _check_answers(chat, prompts):
    """The scorer's answers of base plus adapter are those of `generate` of the merged model, read from disk by transformers."""
    adapted = adapters.load(loading.base_model(layout.base("tiny"), precision="fp32"), layout.adapter("home"))
    settings = {"until": [], "max_gen_toks": NEW, "do_sample": False}
    asked = [Instance("generate_until", {}, (prompt, settings), 0) for prompt in prompts]
    ours = Scorer(TorchEngine(adapted, "fp32"), chat).generate_until(asked)
    tokenizer = tokenizer_of(layout.merged("home"))
    merged = AutoModelForCausalLM.from_pretrained(Path(layout.merged("home")), dtype=torch.float32).eval()
    ends = set(chat.ends.values())
    for prompt, answer in zip(prompts, ours, strict=True):
        ids = torch.tensor([tokenizer(prompt, add_special_tokens=False)["input_ids"]])
        new = merged.generate(ids, max_new_tokens=NEW, do_sample=False)[0, ids.shape[1] :].tolist()
        stop = next((place for place, token in enumerate(new) if token in ends), len(new))
        assert answer == chat.tokenizer.decode(new[:stop])
