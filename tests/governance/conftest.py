"""A project with a candidate, made by hand, and people with keys."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from securesystemslib.signer import CryptoSigner

from fineline import artifacts
from fineline.artifacts import reports
from fineline.documents.records import LOCK
from fineline.governance import acts, attesting, dossier, people, policy
from fineline.project import layout
from tests.documents.conftest import CROISSANT, CURATION, EXPORT, LOCKED, PLAN, RULES, SAME, TICKETS, TRAINING

NAME = "support"
DAY = "2026-03-{:02d}T12:00:00Z"

POLICY = {
    "govern": {"roles": ["governor"], "people": 1},
    "acts": {"attest": ["builder"], "promote": ["releaser"], "rollback": ["releaser"], "revoke": ["governor", "approver"]},
    "channels": {
        # the weights here are too small for a model; what folding them again finds, tests/governance/test_refolding.py shows
        "staging": {"approve": {"roles": ["approver"], "people": 1, "producer": True}, "refolded": False},
        "production": {"approve": {"roles": ["approver"], "people": 2, "max_age_days": 30}, "refolded": False},
    },
}
ROLES = {
    "ada": ["governor", "builder", "approver", "releaser"],
    "bob": ["approver"],
    "cho": ["approver", "releaser"],
    "dan": ["builder"],
}


def day(number):
    """Noon of a day in March."""
    return DAY.format(number)


DAYS = [day(number) for number in range(32)]


class World:
    """The project, its people, and the acts by name. Days count up by themselves unless they are given."""

    def __init__(self, roles):
        self.signers = {name: CryptoSigner.generate_ed25519() for name in roles}
        self.content = {"people": {name: self.person(name, listed) for name, listed in roles.items()}}
        self.rules = json.loads(json.dumps(POLICY))
        self.write()

    def person(self, name, roles, **key):
        return {
            "name": name.title(),
            "email": f"{name}@example.com",
            "roles": roles,
            "keys": [{"public": self.public(name), "valid_from": day(1), **key}],
        }

    def public(self, name):
        return self.signers[name].public_key.keyval["public"]

    def keyid(self, name):
        return self.signers[name].public_key.keyid

    def who(self, name):
        return name, self.signers[name]

    def write(self):
        for file, content in ((people.FILE, self.content), (policy.FILE, self.rules)):
            file.parent.mkdir(exist_ok=True)
            file.write_text(yaml.safe_dump(content, sort_keys=False))

    def adopt(self, name="ada", now=DAYS[1]):
        self.write()
        return acts.adopt(self.who(name), self.signers[name], now)

    def attest(self, name="dan", now=DAYS[2]):
        return attesting.attest(NAME, self.who(name), now)

    def approve(self, name, channel="production", now=DAYS[3], **options):
        return acts.decide(NAME, channel, self.who(name), "Looks good.", approve=True, now=now, **options)

    def reject(self, name, channel="production", now=DAYS[3]):
        return acts.decide(NAME, channel, self.who(name), "Talks nonsense.", approve=False, now=now)

    def promote(self, name="cho", channel="production", now=DAYS[4]):
        return acts.promote(NAME, channel, self.who(name), now)

    def ready(self):
        """Everything that production asks for."""
        self.adopt()
        self.attest()
        self.approve("ada")
        self.approve("bob")

    def digest(self):
        return artifacts.read(layout.export(NAME, "quantized")).digest

    def release(self):
        """The name of the release that the candidate is, or would be."""
        return dossier.of(NAME).release


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A project in the working directory, with a candidate that nobody has looked at yet."""
    monkeypatch.chdir(tmp_path)
    candidate("1")
    return World(ROLES)


def tensors(directory, value, name="model"):
    (directory / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    save_file({"w": np.full((2, 3), value, dtype=np.float32)}, directory / f"{name}.safetensors")


def network(directory, location="model.onnx.data"):
    """A model whose weights lie beside it."""
    weights = numpy_helper.from_array(np.ones((2, 2), dtype=np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:], [weights]))
    onnx.save(model, directory / "model.onnx", save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    if location != "model.onnx.data":
        model = onnx.load(directory / "model.onnx", load_external_data=False)
        for entry in model.graph.initializer[0].external_data:
            if entry.key == "location":
                entry.value = location
        (directory / "model.onnx").write_bytes(model.SerializeToString())


def made(target, kind, fill, inputs=None, parameters=None, license="apache-2.0"):
    """An artifact."""
    with artifacts.create(
        target,
        kind=kind,
        name=target.name if kind == "base" else NAME,
        owner="support@example.com",
        license=license,
        stage="fineline.stages.train",
        inputs=inputs,
        parameters=parameters,
    ) as building:
        fill(building)
    return artifacts.read(target).digest


def candidate(version, verdict="pass", template="{{ messages }}", weights=None, part=None, **changes):
    """Make everything up to a verdict; another version has other data, and so other weights.

    Args:
        weights: Role (base, adapter, merged) -> what puts files into the directory, instead of toys.
        part: What is recorded of the one part of the raw rows, beside the usual.
    """
    fill = {
        "base": lambda at: tensors(at, 1.0),
        "adapter": lambda at: tensors(at, float(version), "adapter_model"),
        "merged": lambda at: tensors(at, 1 + float(version)),
    } | (weights or {})
    base, raw, data = layout.base("tiny"), layout.raw(NAME), layout.curated(NAME)
    adapter, merged, shipped = layout.adapter(NAME), layout.merged(NAME), layout.export(NAME, "quantized")
    source = {"path": "faq.jsonl", "parts": {"faq": {"files": "faq.jsonl"}}}

    def rows(at):
        (at / "rows.jsonl").write_text(version)
        (at / "parts.json").write_text(json.dumps({"faq": TICKETS | (part or {})}))

    def curated(at):
        (at / "train.jsonl").write_text(version)
        (at / "README.md").write_text("# Data")
        (at / "croissant.json").write_text(json.dumps(CROISSANT))

    LOCK.write_text(LOCKED)
    digests = {
        "base": made(base, "base", fill["base"]),
        "raw": made(raw, "raw-data", rows, parameters=source),
        "data": made(data, "training-data", curated, {"raw": raw, "tokenizer": base}),
        "adapter": made(
            adapter,
            "adapter",
            fill["adapter"],
            {"base": base, "data": data},
            {"method": "lora", "rank": 8, "keep": "last"},
        ),
        "merged": made(merged, "merged-model", fill["merged"], {"base": base, "adapter": adapter}),
    }

    def export(at):
        network(at)
        (at / "chat_template.jinja").write_text(template)
        (at / "version.json").write_text(version)

    digests["exported"] = made(shipped, "exported-model", export, {"merged": merged}, {"precision": "int4"})
    write_reports(digests, verdict, **changes)
    return digests


def trained(base, change=None):
    """Weights that transformers and PEFT read: a base, a LoRA adapter, and both merged.

    Args:
        base: A small model.
        change: What is done to the merged model besides.
    """
    from fineline import adapters
    from fineline.adapters.methods import METHODS
    from fineline.merge import weights
    from fineline.models import loading
    from tests.adapters.cases import CASES
    from tests.merge.conftest import moved

    def merge(at):
        model = adapters.load(loading.base_model(layout.base("tiny")), layout.adapter(NAME))
        weights.write(layout.base("tiny"), model, at, METHODS["lora"], "bf16")
        if change is not None:
            change(at)

    return {
        "base": lambda at: shutil.copytree(base, at, dirs_exist_ok=True),
        "adapter": lambda at: adapters.save(moved(CASES["lora"], layout.base("tiny")), at),
        "merged": merge,
    }


def write_reports(digests, verdict="pass", **changes):
    """Reports about these artifacts; `changes` are put into candidate.json."""
    checks = CURATION["checks"] | {"drift": 0.0, "drift_limit": 0.2}
    scores = {"base": {"target_exact_match": 0.125}, "candidate": {"target_exact_match": 0.8125}}
    judged = {"rules": [RULES[0] | {"verdict": verdict}], "scores": scores, "verdict": verdict, "items": 400}
    content = {
        "curation": CURATION
        | {
            "dataset": digests["data"],
            "checks": checks,
            "signals": {"rare_phrases": []},
            "removed": {"privacy": 0},
            "changed": {"rows": 0},
        },
        "plan": {"base": digests["base"], "data": digests["data"]} | PLAN,
        "training": TRAINING,
        "gate": judged
        | {
            "arms": {"base": {"digest": digests["base"]}, "candidate": {"digest": digests["adapter"]}},
            "data": digests["data"],
            "suites": {"target_generation": f"sha256:{'1' * 64}"},
        },
        "merge": SAME | {"digest": digests["merged"], "merged_into": "original", "precision": "bf16"},
        "export": {
            "parity": SAME,
            "forms": {"quantized": EXPORT["forms"]["quantized"] | {"digest": digests["exported"]}},
        },
        "candidate": {
            "verdict": verdict,
            "reasons": ["adapter: better."],
            "forms": {"merged": judged, "exported": judged},
            "evidence": [],
            "suites": {"target_generation": f"sha256:{'1' * 64}"},
            "candidate": {"digest": digests["exported"]},
            "merged": {"digest": digests["merged"]},
            "adapter": {"digest": digests["adapter"]},
            "base": {"digest": digests["base"]},
        }
        | changes,
    }
    for name, report in content.items():
        reports.write(layout.reports(NAME) / f"{name}.json", report)


def change(file, edit):
    """Rewrite a JSON file that may be read-only."""
    path = Path(file)
    content = json.loads(path.read_text())
    edit(content)
    path.chmod(0o644)
    path.write_text(json.dumps(content))
