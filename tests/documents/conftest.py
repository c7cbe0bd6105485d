"""A small project of records, written through the project's own writers without training."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from fineline import artifacts
from fineline.artifacts import Input, provenance, reports
from fineline.artifacts.provenance import Provenance
from fineline.documents.packages import LOCK
from fineline.project import layout, lock
from tests.conftest import small_params

NAME = "support-de"
OWNER = "team@fineline.example"
TEMPLATE = "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}<assistant>"
ROW = "the very words of a training row"
LOCKED = """\
# This file was made by hand.
alpha==1.2 \\
    --hash=sha256:{} \\
    --hash=sha256:{}
    # via
    #   fineline (pyproject.toml)
    #   beta-two
beta.two==0.3 ; sys_platform == 'linux' \\
    --hash=sha256:{}
    # via fineline (pyproject.toml)
""".format("a" * 64, "b" * 64, "c" * 64)

PLAN: dict[str, Any] = {
    "device": {"kind": "cuda", "name": "Some GPU", "memory_bytes": 80 * 2**30, "watts": None, "note": ""},
    "parameters": 1000,
    "shape": {"model_type": "llama", "layers": 2, "hidden": 8, "heads": 2, "kv_heads": 1, "vocabulary": 64},
    "epochs": 2.0,
    "recommended": "lora",
    "reason": "lora needs 1 GiB of 80 GiB: the base stays exact.",
    "chosen": {
        "method": "lora",
        "seconds": 90.0,
        "flops": 6.0e9,
        "share_of_base_compute": 1e-3,
        "reason": "lora needs 1 GiB of 80 GiB.",
    },
}
TRAINING: dict[str, Any] = {
    "method": "lora",
    "train_loss": 0.125,
    "validation_loss": 0.25,
    "best_validation_loss": 0.25,
    "best_step": 40,
    "steps": 50,
    "stopped_early": False,
    "resumed_at": None,
    "tokens": 12345,
    "seconds": 77.5,
    "trained_parameters": 16,
    "base_parameters": 1000,
    "value": {"energy_wh": None},
    "memory": {"measured": 2048},
}
CURATION: dict[str, Any] = {
    "rows_in": 100,
    "kept": 90,
    "removed": {"rejected": 4, "exact_duplicates": 6},
    "splits": {
        "train": {"rows": 70, "groups": 60, "tokens": 7000},
        "validation": {"rows": 5, "groups": 5, "tokens": 500},
        "test": {"rows": 15, "groups": 15, "tokens": 1500},
    },
    "languages": {"de": 80, "und": 10},
    "contamination": {"everyday": {"rows": 3, "items": 2}},
    "label_noise": {"same_prompt": {"prompts": 1, "rows": 2}, "near_prompt": {"prompts": 0, "rows": 0}},
    "signals": {"rare_phrases": [{"phrase": ROW, "rows": 25, "completion_share": 0.98}]},
    "checks": {"private_values_left": 0, "contaminated_left": 0, "links_across_splits": 0, "audited": 90},
}
SAME = {"passed": True, "positions": 500, "mean_kl": 1e-9, "top1_agreement": 1.0, "max_abs_difference": 1e-5}
EXPORT: dict[str, Any] = {
    "parity": SAME,
    "forms": {
        "fp32": {"precision": "fp32", "bytes": 4_000_000, "tokens_per_second": 10.5, "mean_kl": 1e-9, "top1_agreement": 1.0},
        "quantized": {
            "precision": "int4",
            "bytes": 1_000_000,
            "tokens_per_second": 31.5,
            "mean_kl": 0.1,
            "top1_agreement": 0.9,
        },
    },
}
CROISSANT: dict[str, Any] = {
    "description": "Conversations.",
    "rai:dataCollection": "100 raw rows: tickets (files) 100.",
    "rai:dataPreprocessingProtocol": ["rejected: 4 rows left out, rows that cannot be read."],
    "rai:personalSensitiveInformation": ["email: replaced; 9 rows changed, 0 only counted."],
    "rai:dataLimitations": ["Names may remain."],
}
FILE = {"path": "tickets/a.jsonl", "size": 12, "sha256": "ab" * 32, "rows": 100}
TICKETS = {"origin": "files", "rows": 100, "unreadable": 0, "weight": 1.0, "files": [FILE]}


def rule(measure: str, name: str, verdict: str, reference: float, candidate: float, **more: Any) -> dict[str, Any]:
    """One of the rules of a decision."""
    floor = name == "floor"
    entry = {
        "measure": measure,
        "rule": name,
        "against": None if floor else "base",
        "limit": 0.1,
        "unit": "share",
        "verdict": verdict,
        "reason": f"{measure}: in words.",
        "items": 200,
        "reference": None if floor else reference,
        "candidate": candidate,
        "difference": None if floor else candidate - reference,
        "lower": candidate - 0.05 if floor else candidate - reference - 0.05,
        "upper": candidate + 0.05 if floor else candidate - reference + 0.05,
    }
    return entry | more


RULES = [
    rule("target_exact_match", "must_improve", "pass", 0.125, 0.8125),
    rule("target_exact_match", "floor", "pass", 0.125, 0.8125),
    rule("general", "must_not_regress", "pass", 0.5, 0.48),
    rule("everyday", "info", "info", 0.75, 0.25),
    rule("harmless", "info", "info", 0.5, 0.5),
]


@dataclass
class Project:
    """The content of a project's records; `write` writes them in the working directory."""

    license: str = "cc-by-4.0"
    base_license: str = "apache-2.0"
    base_parameters: dict[str, Any] = field(default_factory=lambda: {"path": "somewhere"})
    owner: str = OWNER
    system: str | None = "Answer as JSON."
    template: str = TEMPLATE
    settings: dict[str, Any] = field(
        default_factory=lambda: {"method": "lora", "rank": 8, "epochs": 2.0, "batch_size": 4, "accumulation": 2, "keep": "last"}
    )
    parts: dict[str, Any] = field(default_factory=lambda: {"tickets": copy.deepcopy(TICKETS)})
    plan: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(PLAN))
    training: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(TRAINING))
    curation: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(CURATION))
    export: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(EXPORT))
    croissant: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(CROISSANT))
    rules: list[dict[str, Any]] = field(default_factory=lambda: copy.deepcopy(RULES))
    lock: str = LOCKED
    verdict: str = "pass"
    """Of the candidate; the gate of the adapter has its own."""
    gate_verdict: str = "pass"

    def write(self) -> "Project":
        """Make artifacts and reports."""
        self._params()
        self._artifacts()
        merged = artifacts.used(layout.merged(NAME))
        for form in self.export["forms"]:
            files = {"model.onnx": form, "chat_template.jinja": self.template}
            self._artifact(layout.export(NAME, form), "exported-model", f"{NAME}/{form}", files, {"merged": merged})
            self.export["forms"][form]["digest"] = artifacts.read(layout.export(NAME, form)).digest
        shipped = artifacts.read(layout.export(NAME, "quantized"))
        self._provenance("train", {layout.adapter(NAME).as_posix(): artifacts.read(layout.adapter(NAME)).digest})
        parts = artifacts.read(layout.curated(NAME))
        rows = {"gate": parts.part(layout.JUDGING_ROWS), "plan": parts.part(layout.TRAINING_ROWS)}
        digests = {role: artifacts.read(path).digest for role, path in self._paths().items()}
        decision = {"verdict": self.verdict, "rules": self.rules, "items": 400, "scores": self._scores()}
        arms = {"base": {"digest": digests["base"]}, "candidate": {"digest": digests["adapter"]}}
        candidate = {
            "verdict": self.verdict,
            "reasons": ["in words."],
            "forms": {"merged": copy.deepcopy(decision), "exported": decision},
            "evidence": [],
            "candidate": {"digest": shipped.digest},
            "suites": {"everyday": "sha256:" + "1" * 64},
            **{role: {"digest": digests[role]} for role in ("merged", "adapter", "base")},
        }
        content = {
            "curation": {"dataset": digests["curated"]} | self.curation,
            "plan": {"base": digests["base"], "data": rows["plan"]} | self.plan,
            "training": self.training,
            "gate": {
                "verdict": self.gate_verdict,
                "rules": self.rules,
                "scores": self._scores(),
                "arms": arms,
                "data": rows["gate"],
            },
            "merge": SAME | {"merged_into": "original", "precision": "bf16", "digest": digests["merged"]},
            "export": self.export,
            "candidate": candidate,
        }
        for part, report in content.items():
            reports.write(layout.reports(NAME) / f"{part}.json", report)
        LOCK.write_text(self.lock, encoding="utf-8")
        return self

    def accept(self) -> None:
        """Record that an upgrade raised `train` to version 2 and accepted the result of version 1."""
        stages = dict(lock.installed().stages) | {"train": 2}
        lock.write(lock.Lock("0.2.0", stages, {}, {"train": {"from": 1, "to": 2}}))

    def _paths(self) -> dict[str, Path]:
        return {
            "base": layout.base("tiny"),
            "raw": layout.raw(NAME),
            "curated": layout.curated(NAME),
            "adapter": layout.adapter(NAME),
            "merged": layout.merged(NAME),
        }

    def _params(self) -> None:
        content = small_params(Path("somewhere"))
        content["adapters"] = {NAME: content["adapters"]["home"] | {"owner": self.owner, "license": self.license}}
        content["bases"]["tiny"] |= {"owner": "models@fineline.example", "license": self.base_license}
        Path("params.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    def _provenance(self, stage: str, made: dict[str, str]) -> None:
        found = Provenance(
            stage=f"{stage}@{NAME}",
            stage_version=1,
            artifacts=made,
            owner=self.owner,
            license=self.license,
            fineline="0.2.0",
            code="sha256:" + "c" * 64,
            commit="f" * 40,
            dirty=False,
            libraries={"torch": "2.9.0"},
            host={"machine": "x86_64"},
            started="2026-03-01T11:00:00Z",
            finished="2026-03-01T12:00:00Z",
        )
        provenance.write(layout.provenance(stage, NAME), found)

    def _artifacts(self) -> None:
        config = {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "max_position_embeddings": 128,
            "eos_token_id": 2,
        }
        base, raw, curated, adapter, merged = self._paths().values()
        self._artifact(
            base,
            "base",
            "tiny",
            {"config.json": json.dumps(config), "model.safetensors": "w"},
            {},
            parameters=self.base_parameters,
        )
        self._artifact(raw, "raw-data", NAME, {"parts.json": json.dumps(self.parts), "rows.jsonl": ROW}, {})
        tokenizer = layout.tokenizer("tiny")
        self._artifact(tokenizer, "tokenizer", "tiny", {"config.json": json.dumps(config)}, {})
        files = {"README.md": "# Data\n", "croissant.json": json.dumps(self.croissant)}
        files |= {"train.jsonl": ROW, "validation.jsonl": ROW, "test.jsonl": ROW}
        inputs = {"raw": artifacts.used(raw), "tokenizer": artifacts.used(tokenizer)}
        self._artifact(curated, "training-data", NAME, files, inputs, parameters={"system": self.system})
        weights = {"adapter_model.safetensors": "a"}
        inputs = {"base": artifacts.used(base), "data": artifacts.used(curated, layout.TRAINING_ROWS)}
        self._artifact(adapter, "adapter", NAME, weights, inputs, parameters=self.settings)
        inputs = {"base": artifacts.used(base), "adapter": artifacts.used(adapter)}
        self._artifact(merged, "merged-model", NAME, {"model.safetensors": "m"}, inputs)

    def _artifact(
        self, target: Path, kind: str, name: str, files: dict[str, str], inputs: dict[str, Input], **more: Any
    ) -> None:
        stages = {"base": "base", "tokenizer": "base", "raw-data": "ingest", "training-data": "curate", "adapter": "train"}
        stage = stages | {"merged-model": "merge", "exported-model": "export"}
        with artifacts.create(target, kind=kind, name=name, stage=stage[kind], inputs=inputs, **more) as directory:
            for file, content in files.items():
                (directory / file).write_text(content, encoding="utf-8")

    def _scores(self) -> dict[str, dict[str, float]]:
        return {
            "base": {entry["measure"]: entry["reference"] for entry in self.rules if entry["reference"] is not None},
            "candidate": {entry["measure"]: entry["candidate"] for entry in self.rules},
        }


Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Write a project with these differences from the default one, and work in it."""
    monkeypatch.chdir(tmp_path)

    def written(**differences: Any) -> Project:
        return Project(**differences).write()

    return written
