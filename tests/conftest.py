"""A real model small enough to train in seconds, built here, and projects that use it."""

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from fineline.artifacts import locks
from fineline.project import lock

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault(
        "OMP_NUM_THREADS", "1"
    )  # a process of the suite per core: more threads would only wait for each other

# A suite that a script starts in the background is deaf to SIGINT, and so would be every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["tests.cpu_durations", "tests.not_run"]

ROOT = Path(__file__).resolve().parent.parent

README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "COLUMNS": "200",
    "DVC_SITE_CACHE_DIR": tempfile.mkdtemp(prefix="dvc-state-"),
}

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ROOMS = ("kitchen", "garage", "attic", "office", "porch", "study", "cellar", "hall")
DEVICES = ("lamp", "fan", "heater", "radio")
PHRASES = ("turn {state} the {room} {device}", "{room} {device} {state}", "please switch the {device} in the {room} {state}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that `make golden` and `make test-consumers` use."""
    parser.addoption("--record-golden", action="store_true", help="write tests/golden/results.json")
    parser.addoption("--record-consumers", metavar="FILE", help="write what tests/consumers measured")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the whole chain as slow, and start them first: it takes longest to make."""
    for item in items:
        if _needs_chain(item):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(1800))
    items.sort(key=lambda item: (not _needs_chain(item), item.get_closest_marker("slow") is None))


def _needs_chain(item: pytest.Item) -> bool:
    return "readme_chain" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Llama with random weights and a byte-level tokenizer, as a safetensors directory."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    directory = tmp_path_factory.mktemp("tiny-base")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([row["prompt"] + row["completion"] for row in commands()], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(directory)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model = LlamaForCausalLM(config)
    draw = np.random.default_rng(0)  # torch's normal numbers differ between processors, and digests of the base are recorded
    for weight in model.parameters():
        if weight.dim() > 1:
            weight.data = torch.from_numpy(draw.standard_normal(tuple(weight.shape), dtype=np.float32)) * 0.02
    model.to(torch.bfloat16).save_pretrained(directory)
    return directory


def commands() -> list[dict[str, str]]:
    """All commands of a small made-up household, with their meaning as JSON, grouped by phrase and room."""
    rows = []
    for phrase in PHRASES:
        for room in ROOMS:
            for device in DEVICES:
                for state in ("on", "off"):
                    meaning = {"intent": f"turn_{state}", "room": room, "device": device}
                    rows.append(
                        {
                            "prompt": phrase.format(room=room, device=device, state=state),
                            "completion": json.dumps(meaning, separators=(",", ":")),
                            "group": f"{phrase} {room}",
                        }
                    )
    random.Random(0).shuffle(rows)
    return rows


def small_params(tiny_base: Path) -> dict:
    """params.yaml of a project with one adapter on the tiny base."""
    return {
        "bases": {"tiny": {"owner": "models@example.com", "license": "apache-2.0", "path": str(tiny_base)}},
        "adapters": {
            "home": {
                "owner": "home@example.com",
                "license": "cc-by-4.0",
                "base": "tiny",
                "source": {"path": "commands.jsonl"},
                "curate": {"system": "JSON.", "max_tokens": 128, "split": {"validation": 0.1, "test": 0.2, "salt": "tests"}},
                "train": {"method": "qlora", "rank": 4, "alpha": 8, "learning_rate": 0.01, "epochs": 6, "batch_size": 16},
                "evaluate": {
                    "target": {"choice_field": "intent", "choices": 2, "max_new_tokens": 24},
                    "guards": ["greetings"],
                    "gate": {"must_not_regress": {"greetings": 0.5}},
                },
                "export": {},
            }
        },
    }


@pytest.fixture
def project(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project directory with params.yaml, rows and a guard suite; it is the working directory."""
    write_project(tmp_path, small_params(tiny_base))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def curated_once(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """The directory of a project like `project` after `base`, `ingest` and `curate`. Copied, never changed."""
    from fineline.stages import base, curate, ingest

    directory = tmp_path_factory.mktemp("curated-once")
    write_project(directory, small_params(tiny_base))
    with contextlib.chdir(directory):
        base.run("tiny")
        for step in (ingest, curate):
            step.run("home")
    return directory


@pytest.fixture
def curated(project: Path, curated_once: Path) -> Path:
    """`project` after `base`, `ingest` and `curate`."""
    for part in ("models", "data", "reports"):
        shutil.copytree(curated_once / part, project / part)
    return project


def write_project(directory: Path, params: dict) -> None:
    """What a user writes: parameters, data, a suite."""
    (directory / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    lock.write(lock.installed(), directory)
    write_lines(directory / "commands.jsonl", commands())
    suite = directory / "suites" / "greetings"
    suite.mkdir(parents=True)
    definition = (ROOT / "suites" / "mmlu_dev" / "mmlu_dev.yaml").read_text(encoding="utf-8")
    (suite / "greetings.yaml").write_text(definition.replace("mmlu_dev", "greetings"), encoding="utf-8")
    items = [
        {"question": f"Say {word}.", "choices": [word, "nothing", "no, I will not"], "answer": 0, "cluster": word[0]}
        for word in ("hello", "hi", "good morning", "good evening", "welcome", "see you", "goodbye", "thanks")
    ]
    write_lines(suite / "items.jsonl", items)
    pin(suite)
    for name in params["adapters"]:
        evidence = directory / "evidence" / name
        evidence.mkdir(parents=True)
        (evidence / "README.md").write_text("Results of other tools.\n", encoding="utf-8")


def pin(suite: Path) -> None:
    """Write the suite.yaml of a suite for its items as they are now."""
    about = {
        "owner": "e@example.com",
        "license": "cc0-1.0",
        "purpose": "a guard",
        "items": {"sha256": hashlib.sha256((suite / "items.jsonl").read_bytes()).hexdigest()},
    }
    (suite / "suite.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")


def write_lines(file: Path, rows: list[dict]) -> None:
    """Write JSONL, with the directory if it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def copy_graph(directory: Path) -> None:
    """Put the shipped graph and its code into a project, so that DVC can hash them there."""
    shutil.copytree(ROOT / "pipelines", directory / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, directory / name)


def blocks(language: str) -> list[str]:
    """The fenced code blocks of the README."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE)


def readme_commands(first_word: str) -> list[str]:
    """The commands of the README that begin with a word, without their comments."""
    lines = (line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines())
    return [line for line in lines if line.split() and line.split()[0] == first_word]


def shell(command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(command.split(), cwd=cwd, env=ENVIRONMENT | more, capture_output=True, text=True, check=False)


def readme_project(directory: Path, tiny_base: Path) -> None:
    """A DVC project whose only adapter is the README's, on the tiny base and the tests' rows."""
    params = small_params(tiny_base)
    (example,) = (yaml.safe_load(block) for block in blocks("yaml"))
    support = example["adapters"]["support"] | {"base": "tiny"}
    support["train"] = {  # for a tiny model, and the same on every processor
        "method": "qlora",
        "precision": "fp32",
        "rank": 4,
        "alpha": 8,
        "learning_rate": 0.01,
        "epochs": 6,
    }
    support["evaluate"] = {
        "target": {"choice_field": "intent", "choices": 2, "max_new_tokens": 24},
        "guards": ["greetings"],
        "gate": {"must_not_regress": {"greetings": 0.5}},
    }
    params["adapters"] = {"support": support}
    write_project(directory, params)
    (directory / "tickets").mkdir()
    (directory / "commands.jsonl").rename(directory / "tickets" / "commands.jsonl")
    copy_graph(directory)
    for command in ("git init --quiet", "dvc init --quiet"):
        assert shell(command, directory).returncode == 0


@pytest.fixture(scope="session")
def readme_chain(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A project after the README's commands for the user's data: all nine stages, run by DVC. Copied, never changed.

    The processes of the suite share it: the first that needs it makes it while the others wait. The files that each stage
    opened are in the directory `opened` next to the project, see tests/test_declared.py.
    """
    place = tmp_path_factory.getbasetemp()
    place = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "readme-chain"
    project, finished = place / "project", place / "finished"
    with locks.hold(place / "lock"):
        if not finished.exists():
            assert not project.exists(), "it could not be made; the first test that needed it shows why"
            project.mkdir()
            readme_project(project, tiny_base)
            run_readme(project, place / "opened")
            finished.touch()
    return project


def run_readme(project: Path, opened: Path) -> None:
    """Run the README's commands for the user's data, with the files that each stage opens recorded in a directory."""
    opened.mkdir()
    paths = os.pathsep.join(filter(None, (str(ROOT / "tests" / "audit"), os.environ.get("PYTHONPATH"))))
    audited = {"PYTHONPATH": paths, "FINELINE_TEST_OPENED": str(opened)}
    for command in [*readme_commands("dvc"), *readme_commands("fineline")]:
        if "support" in command and command.split()[1] not in ("report", "init", "retire"):
            answer = shell(command, project, **audited)
            assert answer.returncode == 0, f"{command}\n{answer.stdout}\n{answer.stderr}"


@pytest.fixture(scope="session")
def made(readme_chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project after all nine stages for this process of the suite."""
    return shutil.copytree(readme_chain, tmp_path_factory.mktemp("made") / "project", symlinks=True)
