"""A project with a candidate, written without training, and people with keys."""

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
from fineline.artifacts import provenance, reports
from fineline.artifacts.provenance import Provenance
from fineline.documents.records import LOCK
from fineline.governance import actions, evidence_bundle, people, policy, signing
from fineline.project import layout, lock
from tests.conftest import small_params
from tests.documents.conftest import CROISSANT, CURATION, EXPORT, LOCKED, PLAN, RULES, SAME, TICKETS, TRAINING

NAME = "support"
DAY = "2026-03-{:02d}T12:00:00Z"

POLICY = {
    "govern": {"roles": ["governor"], "people": 1},
    "acts": {"attest": ["builder"], "promote": ["releaser"], "rollback": ["releaser"], "revoke": ["governor", "approver"]},
    "channels": {
        # these weights are not a model; tests/governance/test_merge_verification.py has one whose merge can be verified
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
    """The project, its people, and the actions by name, each on a later day unless one is given."""

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
        return actions.adopt(self.who(name), self.signers[name], now)

    def attest(self, name="dan", now=DAYS[2]):
        return signing.attest(NAME, self.who(name), now).entries

    def approve(self, name, channel="production", now=DAYS[3], **options):
        return actions.decide(NAME, channel, self.who(name), "Looks good.", approve=True, now=now, **options)

    def reject(self, name, channel="production", now=DAYS[3]):
        return actions.decide(NAME, channel, self.who(name), "Talks nonsense.", approve=False, now=now)

    def promote(self, name="cho", channel="production", now=DAYS[4]):
        return actions.promote(NAME, channel, self.who(name), now)

    def ready(self):
        """Sign everything that production requires."""
        self.adopt()
        self.attest()
        self.approve("ada")
        self.approve("bob")

    def digest(self):
        return artifacts.read(layout.export(NAME, "quantized")).digest

    def release(self):
        """Return the name of the release that the candidate is, or would be."""
        return evidence_bundle.collect(NAME).release


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A project in the working directory, with a candidate that has no approvals yet."""
    monkeypatch.chdir(tmp_path)
    lock.write(lock.installed())
    candidate("1")
    return World(ROLES)


def tensors(directory, value, name="model"):
    (directory / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    save_file({"w": np.full((2, 3), value, dtype=np.float32)}, directory / f"{name}.safetensors")


def network(directory, location="model.onnx.data"):
    """Write a model with external weights next to it."""
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


STAGES = {
    "base": "base",
    "tokenizer": "base",
    "raw-data": "ingest",
    "training-data": "curate",
    "adapter": "train",
    "merged-model": "merge",
    "exported-model": "export",
}


def configure(license="apache-2.0", base_license="apache-2.0", owner="support@example.com"):
    """Write params.yaml with these owners and licenses."""
    content = small_params(Path("somewhere"))
    content["adapters"] = {NAME: content["adapters"]["home"] | {"owner": owner, "license": license}}
    content["bases"]["tiny"] |= {"license": base_license}
    Path("params.yaml").write_text(yaml.safe_dump(content))


def made(target, kind, fill, inputs=None, parameters=None):
    """Make an artifact and the provenance file of its stage, and return its digest.

    Args:
        inputs: Role -> directory, or what `artifacts.used` returns.
    """
    used = {role: artifacts.used(source) if isinstance(source, Path) else source for role, source in (inputs or {}).items()}
    name = target.name if kind in ("base", "tokenizer") else NAME
    with artifacts.create(target, kind=kind, name=name, stage=STAGES[kind], inputs=used, parameters=parameters) as building:
        fill(building)
    digest = artifacts.read(target).digest
    prove(STAGES[kind], name, {target.as_posix(): digest})
    return digest


def prove(stage, name, digests):
    """Write the provenance of a stage that made these artifacts, among others."""
    file = layout.provenance(stage, name)
    before = provenance.read(file)
    found = Provenance(
        stage=f"{stage}@{name}",
        stage_version=1,
        artifacts=(dict(before.artifacts) if before else {}) | digests,
        owner="support@example.com",
        license="apache-2.0",
        fineline="0.2.0",
        code=f"sha256:{'c' * 64}",
        commit="f" * 40,
        dirty=False,
        libraries={"torch": "2.9.0"},
        host={"machine": "x86_64"},
        started="2026-03-01T10:00:00Z",
        finished="2026-03-01T11:00:00Z",
    )
    provenance.write(file, found)


def candidate(version, verdict="pass", template="{{ messages }}", weights=None, part=None, **changes):
    """Make everything up to a verdict; another version has other data and other weights.

    Args:
        weights: Role (base, adapter, merged) -> a function that fills the directory, instead of toys.
        part: Recorded of the one part of the raw rows, in addition to the default.
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
        for file in layout.JUDGING_ROWS:
            (at / file).write_text(version)
        (at / "README.md").write_text("# Data")
        (at / "croissant.json").write_text(json.dumps(CROISSANT))

    LOCK.write_text(LOCKED)
    if not Path("params.yaml").exists():
        configure()
    tokenizer = layout.tokenizer("tiny")
    digests = {
        "base": made(base, "base", fill["base"]),
        "tokenizer": made(tokenizer, "tokenizer", lambda at: shutil.copy(base / "config.json", at)),
        "raw": made(raw, "raw-data", rows, parameters=source),
        "data": made(data, "training-data", curated, {"raw": raw, "tokenizer": tokenizer}),
        "adapter": made(
            adapter,
            "adapter",
            fill["adapter"],
            {"base": base, "data": artifacts.used(data, layout.TRAINING_ROWS)},
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
    """Return weights that transformers and PEFT read: a base, a LoRA adapter, and both merged.

    Args:
        base: A small model.
        change: Called with the merged model, to alter it.
    """
    from fineline import adapters
    from fineline.adapters.methods import METHODS
    from fineline.merge.weights import write
    from fineline.models import loading
    from tests.adapters.cases import CASES
    from tests.merge.conftest import moved

    def merge(at):
        model = adapters.load(loading.base_model(layout.base("tiny")), layout.adapter(NAME))
        write(layout.base("tiny"), model, at, METHODS["lora"], "bf16")
        if change is not None:
            change(at)

    return {
        "base": lambda at: shutil.copytree(base, at, dirs_exist_ok=True),
        "adapter": lambda at: adapters.save(moved(CASES["lora"], layout.base("tiny")), at),
        "merged": merge,
    }


def write_reports(digests, verdict="pass", **changes):
    """Write reports about these artifacts; `changes` are put into candidate.json."""
    data = artifacts.read(layout.curated(NAME))
    scores = {"base": {"target_exact_match": 0.125}, "candidate": {"target_exact_match": 0.8125}}
    judged = {"rules": [RULES[0] | {"verdict": verdict}], "scores": scores, "verdict": verdict, "items": 400}
    content = {
        "curation": CURATION
        | {
            "dataset": digests["data"],
            "signals": {"rare_phrases": []},
            "removed": {"privacy": 0},
            "changed": {"rows": 0},
        },
        "curation/change": {"dataset": digests["data"], "largest_drift": 0.0, "drift_limit": 0.2},
        "plan": {"base": digests["base"], "data": data.part(layout.TRAINING_ROWS)} | PLAN,
        "training": TRAINING,
        "gate": judged
        | {
            "arms": {"base": {"digest": digests["base"]}, "candidate": {"digest": digests["adapter"]}},
            "data": data.part(layout.JUDGING_ROWS),
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
