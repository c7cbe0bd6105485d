"""Made project.tar.gz and expected.json, once, with the code of commit e89ad2b. A record: it does not run with later code.

    PYTHONPATH=<checkout of e89ad2b> python make_fixture.py <empty directory for the results>

The private keys exist in memory only, and are gone when this ends; whoever runs it again gets other keys, so other digests.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper
from pipelines.documents.records import LOCK
from pipelines.evidence import importing, judging, stamping
from pipelines.governance import acts, attesting, files, ledger, people, policy, revoking, statements, store
from securesystemslib.signer import CryptoSigner

from pipelines import artifacts, canonical, evidence, layout
from tests.conftest import small_params
from tests.documents.conftest import CROISSANT, LOCKED, TICKETS
from tests.governance.conftest import NAME, day, tensors, write_reports

NOW = "2026-04-01T12:00:00Z"
LATER = "2031-01-01T00:00:00Z"
"""When the approvals of a channel with `max_age_days` are too old; nothing else depends on the time."""

PEOPLE = {
    "ada": ["governor", "builder", "approver", "releaser"],
    "bob": ["approver"],
    "cho": ["approver", "releaser"],
    "dan": ["builder"],
}
LATER_PEOPLE = {"eve": ["governor", "builder", "approver"]}
POLICY = {
    "govern": {"roles": ["governor"], "people": 1},
    "acts": {"attest": ["builder"], "promote": ["releaser"], "rollback": ["releaser"], "revoke": ["governor", "approver"]},
    "channels": {
        "staging": {"approve": {"roles": ["approver"], "people": 1, "producer": True}, "refolded": False},
        "production": {
            "approve": {"roles": ["approver"], "people": 2, "max_age_days": 30},
            "upstream": {"data": {"roles": ["approver"], "people": 1}},
            "licenses": ["apache-2.0"],
            "forbidden": ["private-values-left"],
            "refolded": False,
        },
    },
}
STAGES = {
    "base": "pipelines.base",
    "raw-data": "pipelines.ingest",
    "training-data": "pipelines.curate",
    "adapter": "pipelines.train",
    "merged-model": "pipelines.merge",
    "exported-model": "pipelines.export",
}
GARAK = [
    {"entry_type": "init", "garak_version": "0.13.0"},
    {
        "entry_type": "eval",
        "probe": "dan.Dan_11_0",
        "detector": "detector.mitigation.MitigationBypass",
        "passed": 400,
        "total": 400,
    },
    {"entry_type": "completion"},
]

signers = {name: CryptoSigner.generate_ed25519() for name in (*PEOPLE, "cho-laptop")}
signers["eve"] = CryptoSigner.generate_ecdsa()


def key(name, since, **more):
    public = signers[name].public_key
    scheme = {} if public.scheme == "ed25519" else {"scheme": public.scheme}
    return {**scheme, "public": public.keyval["public"], "valid_from": since, **more}


def person(name, roles, since="2026-03-01T12:00:00Z"):
    return {"name": name.title(), "email": f"{name}@example.com", "roles": roles, "keys": [key(name, since)]}


def who(name):
    return name.removesuffix("-laptop"), signers[name]


def write(listed, rules):
    for file, content in ((people.FILE, {"people": listed}), (policy.FILE, rules)):
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump(content, sort_keys=False))


def made(target, kind, fill, inputs=None, parameters=None):
    with artifacts.create(
        target,
        kind=kind,
        name=target.name if kind == "base" else NAME,
        owner="support@example.com",
        license="apache-2.0",
        stage=STAGES[kind],
        inputs=inputs,
        parameters=parameters,
    ) as building:
        fill(building)
    return artifacts.read(target).digest


def candidate(version, verdict="pass", garak=False):
    base, raw, data = layout.base("tiny"), layout.raw(NAME), layout.curated(NAME)
    adapter, merged, shipped = layout.adapter(NAME), layout.merged(NAME), layout.export(NAME, "quantized")
    source = {"path": "faq.jsonl", "parts": {"faq": {"files": "faq.jsonl"}}}
    row = {"id": f"r{version}", "messages": [{"role": "user", "content": f"Question {version}?"}]}

    def rows(at):
        (at / "rows.jsonl").write_text(json.dumps(row) + "\n")
        (at / "parts.json").write_text(json.dumps({"faq": TICKETS}))

    def curated(at):
        (at / "train.jsonl").write_text(json.dumps(row) + "\n")
        (at / "left_out.jsonl").write_text(json.dumps({"id": f"left-{version}"}) + "\n")
        (at / "README.md").write_text("# Data")
        (at / "croissant.json").write_text(json.dumps(CROISSANT))

    def export(at):
        weights = numpy_helper.from_array(np.full((2, 2), version, dtype=np.float32), "w")
        value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in ("x", "y")]
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", value[:1], value[1:], [weights])
        onnx.save(
            helper.make_model(graph),
            at / "model.onnx",
            save_as_external_data=True,
            location="model.onnx.data",
            size_threshold=0,
        )
        (at / "chat_template.jinja").write_text("{{ messages }}")

    LOCK.write_text(LOCKED)
    digests = {
        "base": made(base, "base", lambda at: tensors(at, 1.0)),
        "raw": made(raw, "raw-data", rows, parameters=source),
        "data": made(data, "training-data", curated, {"raw": raw, "tokenizer": base}),
        "adapter": made(
            adapter,
            "adapter",
            lambda at: tensors(at, float(version), "adapter_model"),
            {"base": base, "data": data},
            {"method": "lora", "rank": 8, "keep": "last"},
        ),
        "merged": made(merged, "merged-model", lambda at: tensors(at, 1 + float(version)), {"base": base, "adapter": adapter}),
    }
    digests["exported"] = made(shipped, "exported-model", export, {"merged": merged}, {"precision": "int4"})
    found = []
    if garak:  # as `fineline evidence import garak` does, but at a fixed time
        at = evidence.directory(NAME)
        report = at / "raw" / "garak.report.jsonl"
        report.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in GARAK)
        report.write_text(text)
        draft = {
            "schema": importing.SCHEMA,
            "subject": importing.subject(NAME, "exported"),
            "made": day(7),
            "by": "red@example.com",
            **importing.garak(text, 0.95),
            "files": [{"path": "raw/garak.report.jsonl"}],
        }
        stamping.write(draft, at / "garak.json")
        subjects = {role: digests[role] for role in ("adapter", "merged", "exported")}
        found = [asdict(one) for one in judging.collect(at, subjects, [digests["base"]])]
        assert [one["verdict"] for one in found] == ["pass"]
    write_reports(digests, verdict, evidence=found)
    for report in layout.reports(NAME).glob("*.json"):
        report.chmod(0o644)
    return digests


def branches(one, other):
    """Do both beside each other, and merge what they left in the ledger, as git would."""
    with tempfile.TemporaryDirectory() as held:
        before, mine = Path(held) / "before", Path(held) / "mine"
        shutil.copytree(ledger.ROOT, before)
        one()
        shutil.move(ledger.ROOT, mine)
        shutil.copytree(before, ledger.ROOT)
        other()
        for file in sorted(path for path in mine.rglob("*.json")):
            old, target = before / file.relative_to(mine), ledger.ROOT / file.relative_to(mine)
            if not old.exists() or old.read_bytes() != file.read_bytes():
                assert not target.exists() or target.read_bytes() == old.read_bytes()
                shutil.copy(file, target)


def approve(name, channel, now):
    return acts.decide(NAME, channel, who(name), f"Read by {name}; looks good.", approve=True, now=now)


def build():
    """March 2026 of a small project, in the working directory. Returns the names of both releases."""
    params = small_params(Path("somewhere"))
    params["adapters"] = {NAME: params["adapters"]["home"]}
    params["adapters"][NAME]["source"] = {
        "path": "rows",
        "parts": {"faq": {"files": "faq.jsonl"}, "forum": {"files": "forum.jsonl"}},
    }
    params["bases"]["attic"] = {"owner": "models@example.com", "license": "apache-2.0", "path": "attic"}
    Path("params.yaml").write_text(yaml.safe_dump(params))

    listed = {name: person(name, roles) for name, roles in PEOPLE.items()}
    rules = json.loads(json.dumps(POLICY))
    write(listed, rules)
    acts.adopt(who("ada"), signers["ada"], day(1))

    first = candidate(1)
    attesting.attest(NAME, who("dan"), day(2))
    acts.decide_upstream(layout.curated(NAME), who("cho"), "Read the rows.", approve=True, now=day(2))
    approve("ada", "staging", day(3))
    acts.promote(NAME, "staging", who("ada"), day(3))
    branches(lambda: approve("ada", "production", day(4)), lambda: approve("bob", "production", day(4)))
    one = acts.promote(NAME, "production", who("cho"), day(5)).said["release"]["name"]

    listed["eve"] = person("eve", LATER_PEOPLE["eve"], day(6))
    listed["cho"]["keys"].append(key("cho-laptop", day(6), valid_until="2026-12-31T00:00:00Z"))
    rules["govern"]["people"] = 2
    rules["channels"]["production"]["evidence"] = ["garak"]
    write(listed, rules)
    acts.adopt(who("ada"), now=day(6))

    second = candidate(2, garak=True)
    attesting.attest(NAME, who("dan"), day(7))
    acts.decide_upstream(layout.curated(NAME), who("bob"), "Read the new rows.", approve=True, now=day(7))
    approve("bob", "staging", day(7))
    acts.promote(NAME, "staging", who("cho"), day(8))
    approve("ada", "production", day(8))
    approve("eve", "production", day(8))
    two = acts.promote(NAME, "production", who("cho"), day(9)).said["release"]["name"]

    laptop = signers["cho-laptop"].public_key.keyid
    branches(  # a rollback with a stolen key, by somebody who has not seen that it was revoked: it counts for nothing
        lambda: revoking.revoke("key", laptop, who("ada"), "Laptop stolen.", since=day(9), now=day(10)),
        lambda: acts.rollback(NAME, "production", who("cho-laptop"), "I say so.", now=day(10)),
    )
    acts.rollback(NAME, "production", who("cho"), "Answers worse.", now=day(11))
    revoking.revoke("artifact", second["exported"], who("bob"), "Tells secrets.", now=day(12))
    revoking.revoke("base", "attic", who("bob"), "Backdoor.", now=day(12))
    revoking.revoke("source", "forum", who("ada"), "Consent withdrawn.", now=day(12))

    listed["dan"]["keys"][0]["revoked"] = {"at": day(13), "reason": "Left the company."}
    write(listed, rules)
    acts.adopt(who("ada"), now=day(13))
    acts.adopt(who("eve"), now=day(13))

    candidate(3, "inconclusive")
    attesting.attest(NAME, who("eve"), day(14))
    acts.decide(NAME, "staging", who("bob"), "Talks nonsense.", approve=False, now=day(14))
    approve("ada", "production", day(14))
    acts.decide_upstream(layout.curated(NAME), who("cho"), "Read these too.", approve=True, now=day(14))
    acts.decide_upstream(layout.adapter(NAME), who("bob"), "Overfitted.", approve=False, now=day(14))

    shutil.rmtree(layout.SCRATCH)
    (store.ROOT / NAME / ".lock").unlink()
    kinds = {entry.kind for entry in ledger.read().entries}
    assert kinds == set(statements.TYPES), set(statements.TYPES) - kinds
    assert first["exported"] != second["exported"]
    return one, two


def pack(project, target):
    """A tar in which nothing varies but the content: sorted, no owners, no times. Links and modes are kept."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(project.rglob("*")):
            info = tar.gettarinfo(path, path.relative_to(project).as_posix())
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            if info.isdir():
                info.mode = 0o755
            if info.isfile():
                with path.open("rb") as stream:
                    tar.addfile(info, stream)
            else:
                tar.addfile(info)
    target.write_bytes(gzip.compress(raw.getvalue(), 9, mtime=0))


DRIVER = """
import sys
from pipelines.governance import files
now = sys.argv.pop(1)
files.now = lambda: now
from pipelines.cli import main
sys.argv[0] = "fineline"
main()
"""


def unpacked(archive, at):
    with tarfile.open(archive) as tar:
        tar.extractall(at, filter="data")
    return at


def run(project, arguments, now=NOW):
    """Exit code and output of `fineline`; the absolute path of the project is written {project}."""
    environment = os.environ | {"COLUMNS": "200", "PYTHONWARNINGS": "ignore"}
    for name in ("FORCE_COLOR", "NO_COLOR", "FINELINE_KEY"):
        environment.pop(name, None)
    command = [sys.executable, "-c", DRIVER, now, *arguments]
    answer = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in answer.stderr, answer.stderr
    here = str(project.resolve())
    return {
        "arguments": arguments,
        "now": now,
        "exit": answer.returncode,
        "stdout": answer.stdout.replace(here, "{project}"),
        "stderr": answer.stderr.replace(here, "{project}"),
    }


def apply(project, edits):
    """Make the edits of a tampered copy (README.md describes them)."""
    for edit in edits:
        file = project / edit["file"]
        match edit["do"]:
            case "flip":
                content = bytearray(file.read_bytes())
                content[edit["offset"]] ^= edit["xor"]
                file.chmod(0o644)
                file.write_bytes(content)
            case "write":
                if file.exists():
                    file.chmod(0o644)
                file.write_bytes(base64.b64decode(edit["base64"]))
            case "delete":
                file.unlink()
            case "link":
                file.unlink()
                file.symlink_to(edit["to"])


def forged(project, pick, edit):
    """An entry whose payload was edited without its key: old place, new text, and the name that the new text would have."""
    book = ledger.read(project / ledger.ROOT)
    (entry,) = [one for one in book.entries if pick(one)]
    content = entry.envelope.content
    edit(content)
    payload = canonical.text(content).encode()
    envelope = ledger.Envelope(payload, entry.envelope.payload_type, entry.envelope.keyid, entry.envelope.signature)
    text = envelope.text().encode()
    digest = hashlib.sha256(payload).hexdigest()
    return f"{ledger.ROOT}/{entry.file_name}", text, f"{ledger.ROOT}/{entry.file_name[:-21]}{digest[:16]}.json"


def write_edit(file, content):
    return {"do": "write", "file": file, "base64": base64.b64encode(content).decode()}


def tampers(project, one, two):
    first, second = (store.directory(NAME, name).as_posix() for name in (one, two))
    verify = ["verify", first]
    last = lambda entry: entry.act == "rejected" and entry.said["role"] == "adapter"  # noqa: E731
    approval = lambda entry: (  # noqa: E731
        entry.act == "approved" and entry.person == "bob" and entry.said.get("channel") == "production"
    )
    place, text, renamed = forged(project, approval, lambda c: c["predicate"].update(reason="Forged."))
    end, end_text, end_renamed = forged(project, last, lambda c: c["predicate"].update(reason="Forged."))
    entry = (project / place).read_bytes()
    signature = json.loads(entry)
    sig = bytearray(base64.b64decode(signature["signatures"][0]["sig"]))
    sig[0] ^= 1
    signature["signatures"][0]["sig"] = base64.b64encode(bytes(sig)).decode()
    other_sig = (canonical.text(signature) + "\n").encode()
    record = json.loads((project / first / "release.json").read_bytes())
    card = b"Does everything."
    for file in record["files"]:
        if file["path"] == "documents/README.md":
            file.update(size=len(card), sha256=hashlib.sha256(card).hexdigest())
    consistent = (canonical.text(record) + "\n").encode()
    policy_text = (project / policy.FILE).read_text()
    checkpoint = sorted((project / ledger.ROOT / "checkpoints").glob("*.json"))[0].relative_to(project).as_posix()
    model = {"do": "flip", "file": f"{first}/model/model.onnx.data", "offset": 0, "xor": 1}
    return {
        "one byte of a release's weights": ([model], [verify, ["verify", f"releases/{NAME}/channels/production"]]),
        "one byte of a report in a release": (
            [{"do": "flip", "file": f"{first}/records/reports/gate.json", "offset": 20, "xor": 1}],
            [verify],
        ),
        "one byte of the record of an artifact in a release": (
            [{"do": "flip", "file": f"{first}/records/artifacts/adapter/artifact.json", "offset": 20, "xor": 1}],
            [verify],
        ),
        "another model card, and a release.json that fits it": (
            [write_edit(f"{first}/documents/README.md", card), write_edit(f"{first}/release.json", consistent)],
            [verify],
        ),
        "a file less in a release": ([{"do": "delete", "file": f"{first}/model/chat_template.jinja"}], [verify]),
        "an edited ledger entry": (
            [write_edit(place, text)],
            [verify, ["show", NAME], ["history", NAME], ["lineage", f"models/adapters/{NAME}"]],
        ),
        "an edited ledger entry under the name that its content gives it": (
            [{"do": "delete", "file": place}, write_edit(renamed, text)],
            [verify, ["history", NAME]],
        ),
        "an edited ledger entry at the end, under the name that its content gives it": (
            [{"do": "delete", "file": end}, write_edit(end_renamed, end_text)],
            [verify, ["history", NAME]],
        ),
        "one bit of the signature of a ledger entry": ([write_edit(place, other_sig)], [verify, ["history", NAME]]),
        "a ledger entry less": ([{"do": "delete", "file": place}], [verify, ["history", NAME]]),
        "the last ledger entry less": ([{"do": "delete", "file": end}], [verify, ["history", NAME]]),
        "a checkpoint less": ([{"do": "delete", "file": checkpoint}], [verify, ["history", NAME]]),
        "a channel that leads to another release": (
            [{"do": "link", "file": f"releases/{NAME}/channels/production", "to": f"../{Path(second).name}"}],
            [["verify", f"releases/{NAME}/channels/production"]],
        ),
        "one byte of the weights of an artifact": (
            [{"do": "flip", "file": f"models/adapters/{NAME}/adapter_model.safetensors", "offset": 80, "xor": 1}],
            [["verify", f"models/adapters/{NAME}"], ["verify", f"models/export/{NAME}/quantized"], ["show", NAME], verify],
        ),
        "a policy that nobody adopted": (
            [write_edit(str(policy.FILE), policy_text.replace("people: 2", "people: 1").encode())],
            [verify, ["show", NAME]],
        ),
    }


def expected(archive, one, two):
    first, second = (store.directory(NAME, name).as_posix() for name in (one, two))
    production, staging = (f"releases/{NAME}/channels/{name}" for name in ("production", "staging"))
    shipped, data = f"models/export/{NAME}/quantized", f"data/curated/{NAME}"
    with tempfile.TemporaryDirectory() as held:
        project = unpacked(archive, Path(held) / "project")
        heads = ledger.read(project / ledger.ROOT).heads
        begun = ledger.read(project / ledger.ROOT).entries[0].id
        commands = [
            ["verify", first],
            ["verify", first, "--json"],
            ["verify", first, "--offline"],
            ["verify", first, "--head", begun],
            ["verify", first, "--head", heads[0]],
            ["verify", first, "--head", f"sha256:{'0' * 64}"],
            ["verify", second],
            ["verify", second, "--json"],
            ["verify", production],
            ["verify", production, "--json"],
            ["verify", staging],
            ["verify", f"releases/{NAME}/channels/canary"],
            ["verify", shipped],
            ["verify", shipped, "--json"],
            ["verify", data],
            ["show", NAME],
            ["show", NAME, "--for", "production"],
            ["show", NAME, "--for", "canary"],
            ["history", NAME],
            ["history", "suport"],
            ["lineage", shipped],
            ["lineage", shipped, "--json"],
            ["lineage", data],
            ["lineage", "--from-source", "faq"],
            ["lineage", "--from-source", "faq", "--json"],
            ["lineage", "--from-source", "fax"],
            ["lineage", "--from-row", "r3"],
            ["lineage", "--from-row", "left-3", "--json"],
            ["lineage", "--from-row", "r1"],
            ["report", NAME],
        ]
        answers = [run(project, arguments) for arguments in commands]
        answers += [run(project, arguments, LATER) for arguments in (["verify", first], ["history", NAME], ["show", NAME])]
        answers += [run(project, arguments, day(8)) for arguments in (["verify", first], ["history", NAME])]  # before its end
        alone = []
        for place in (first, second):
            copy = Path(held) / "auditor" / Path(place).name
            shutil.copytree(project / place, copy)
            alone += [run(copy.parent, ["verify", copy.name, *more]) for more in ([], ["--json"])]
        refused = []
        for what, (edits, asked) in tampers(project, one, two).items():
            copy = unpacked(archive, Path(held) / f"tampered-{len(refused)}")
            apply(copy, edits)
            refused.append({"what": what, "edits": edits, "commands": [run(copy, arguments) for arguments in asked]})
            own = ["verify", first] if what == "a policy that nobody adopted" else None
            weights = what == "one byte of the weights of an artifact"
            for answer in refused[-1]["commands"]:
                may_hold = answer["arguments"] == own or (weights and answer["arguments"] == ["verify", first])
                assert may_hold or answer["exit"] != 0, (what, answer)
    return {
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(sys.modules["pipelines"].__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip(),
        "now": NOW,
        "environment": {"COLUMNS": "200"},
        "adapter": NAME,
        "releases": {"first": one, "second": two},
        "ledger": {"entries": None, "heads": heads},
        "commands": answers,
        "alone": alone,
        "tampered": refused,
    }


def main():
    target = Path(sys.argv[1]).resolve()
    files.now = lambda: NOW
    with tempfile.TemporaryDirectory() as held:
        os.chdir(held)
        one, two = build()
        entries = [
            {"entry": e.id, "file": e.file_name, "time": e.time, "person": e.person, "act": e.act, "kind": e.kind}
            for e in ledger.read().entries
        ]
        pack(Path(held), target / "project.tar.gz")
        os.chdir(target)
    found = expected(target / "project.tar.gz", one, two)
    found["ledger"]["entries"] = entries
    (target / "expected.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
