"""Governance at the command line: the first steps of a single person, and wrong input."""

import json
from pathlib import Path

import pytest
import yaml

from fineline.governance import bootstrap, people, policy
from fineline.project import lock
from tests.governance.conftest import NAME, candidate
from tests.in_process import fineline


@pytest.fixture
def project(tmp_path, tmp_path_factory, monkeypatch):
    """A candidate, and a home directory for keys outside of the project."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("FINELINE_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    candidate("1")
    lock.write(lock.installed())
    policy.FILE.parent.mkdir()
    rule = "producer: true}"
    assert rule in bootstrap.POLICY
    policy.FILE.write_text(bootstrap.POLICY.replace(rule, f"{rule}\n    refolded: false # these weights are not a model"))
    return home / ".config" / "fineline" / "keys" / "ada.pem"


def run(*arguments, code=0):
    """Run the command, check its exit code, and return stdout, or stderr of a failure."""
    answer = fineline(*arguments)
    assert answer.returncode == code, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    return answer.stdout if code == 0 else answer.stderr


def test_one_person_from_the_first_key_to_a_release_and_back(project, monkeypatch):
    begun = run("keygen", "ada", "--email", "ada@example.com")
    assert f"export FINELINE_KEY={project}" in begun
    assert "production promotion needs two more approvers" in begun
    monkeypatch.setenv("FINELINE_KEY", str(project))
    assert "no attestation of how" in run("show", NAME)
    assert run("attest", NAME).count("signed by ada") == 7 + 1
    assert "attested already" in run("attest", NAME)
    shown = run("approve", NAME, "--for", "staging", "--reason", "Fine.", "--yes")
    for words in (
        "100 rows in, 90 kept",
        "verdict: pass",
        "owner support@example.com",
        "staging: empty",
        "approved by ada",
    ):
        assert words in shown
    promoted = run("promote", NAME, "--to", "staging")
    assert "reviewed only by its author, as the record says" in promoted
    assert "has this candidate already" in run("promote", NAME, "--to", "staging")
    assert "has 0 of 2 approvals" in run("promote", NAME, "--to", "production", code=3)

    release = f"releases/{NAME}/channels/staging"
    assert "reviewed only by its author" in run("verify", release)
    found = json.loads(run("verify", release, "--json"))
    assert (found["in_use"], found["second_pair_of_eyes"]) == (["staging"], False)
    history = run("history", NAME)
    assert "approve" in history
    assert f"staging: {found['candidate']} since" in history

    candidate("2")
    run("attest", NAME)
    shown = run("approve", NAME, "--for", "staging", "--reason", "Better.", "--yes")
    assert "exported, merged, adapter, data, raw changed; the chat template is the same" in shown
    run("promote", NAME, "--to", "staging")
    assert found["candidate"].removeprefix("sha256:") in run("rollback", NAME, "--in", "staging", "--reason", "Worse.")
    assert "there are faq" in run("revoke", "source", "fax", "--reason", "Consent withdrawn.", code=2)
    assert "there are tiny" in run("revoke", "base", "tyni", "--reason", "Backdoor.", code=2)
    assert "there are entries about support" in run("history", "suport", code=2)
    assert "is outside of this project" in run("approve", "../elsewhere", "--reason", "x", "--yes", code=2)
    assert "at most 2000 characters" in run("reject", NAME, "--for", "staging", "--yes", "--reason", "x" * 2001, code=2)
    tainted = run("revoke", "source", "faq", "--reason", "Consent withdrawn.")
    assert "which is in staging now: roll it back" in tainted
    assert "the source faq was withdrawn" in run("verify", release, code=3)


def test_a_second_person_gets_a_block_to_hand_in(project, monkeypatch):
    run("keygen", "ada", "--email", "ada@example.com")
    block = run("keygen", "bob", "--email", "bob@example.com", "--role", "approver")
    added = yaml.safe_load(block.split("`fineline adopt`:")[1])
    file = Path("governance/people.yaml")
    content = yaml.safe_load(file.read_text())
    content["people"] |= added
    file.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("FINELINE_KEY", str(project))
    assert "differs from what was adopted" in run("show", NAME, code=3)
    assert "in force" in run("adopt")
    assert "not yet" in run("show", NAME)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", NAME), 2, "governance/people.yaml: missing; start with one person by `fineline keygen NAME`"),
        (("keygen", "ada", "--email", "a@example.com", "--to", "ada.pem"), 3, "is inside of the project"),
        (("promote", "suport", "--to", "staging"), 2, "did you mean 'support'?"),
        (("promote", NAME, "--to", "staging"), 2, "governance/people.yaml: missing"),
        (("verify", "releases/none"), 2, "releases/none/artifact.json: missing"),
    ],
)
def test_wrong_words(project, arguments, code, message):
    assert message in run(*arguments, code=code)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("approve", NAME, "--reason", "x", "--yes"), 2, "no channel: pass --for CHANNEL; there are staging, production"),
        (("approve", NAME, "--for", "prod", "--reason", "x", "--yes"), 2, "there is no channel 'prod'"),
        (("approve", NAME, "--for", "staging", "--reason", " ", "--yes"), 2, "a reason is needed"),
        (("approve", NAME, "--for", "staging", "--reason", "a\x1b[2J", "--yes"), 2, "without control characters"),
        (("approve", f"models/export/{NAME}/quantized", "--reason", "x", "--yes"), 2, "is approved for a channel"),
        (("approve", "models/none", "--reason", "x", "--yes"), 2, "models/none/artifact.json: missing"),
        (("rollback", NAME, "--in", "staging", "--reason", "x"), 2, "was never in staging"),
        (("promote", NAME, "--to", "prod"), 3, "there is no channel 'prod'"),
    ],
)
def test_wrong_words_with_a_key(project, monkeypatch, arguments, code, message):
    run("keygen", "ada", "--email", "ada@example.com")
    monkeypatch.setenv("FINELINE_KEY", str(project))
    assert message in run(*arguments, code=code)


def test_nothing_is_signed_without_a_yes(project, monkeypatch):
    run("keygen", "ada", "--email", "ada@example.com")
    monkeypatch.setenv("FINELINE_KEY", str(project))
    answer = fineline("approve", NAME, "--for", "staging", "--reason", "x")
    assert answer.returncode != 0
    assert len(list(Path("governance/ledger").glob("*.json"))) == 1


def test_the_last_governor_s_key_is_not_revoked_unasked(project, monkeypatch):
    run("keygen", "ada", "--email", "ada@example.com")
    monkeypatch.setenv("FINELINE_KEY", str(project))
    key = people.load().people["ada"].keys[0].id
    answer = fineline("revoke", "key", key, "--reason", "Stolen.")
    assert answer.returncode != 0
    assert "Without this key 0 of 1 governors remain" in answer.stdout
    assert "revoked by ada" in run("revoke", "key", key, "--reason", "Stolen.", "--yes")


def test_what_was_made_from_a_source_is_listed(project):
    listed = run("lineage", "--from-source", "faq")
    assert f"models/adapters/{NAME} (adapter)" in listed
    assert "no raw data have a source part 'fax'" in run("lineage", "--from-source", "fax", code=2)
    assert "give an artifact, --from-source or --from-row" in run("lineage", code=2)


def test_an_auditor_sees_who_signed_for_an_artifact(project, monkeypatch):
    adapter = f"models/adapters/{NAME}"
    before = json.loads(run("lineage", adapter, "--json"))["chain"]
    assert [one["signed"] for one in before] == [[]] * 5
    run("keygen", "ada", "--email", "ada@example.com")
    monkeypatch.setenv("FINELINE_KEY", str(project))
    run("attest", NAME)
    assert "made by ada" in run("lineage", adapter)
    chain = json.loads(run("lineage", adapter, "--json"))["chain"]
    assert {(one["act"], one["person"]) for artifact in chain for one in artifact["signed"]} == {("made", "ada")}
    verified = json.loads(run("verify", adapter, "--offline", "--json"))
    assert verified["holds"] is True
    assert [one["kind"] for one in verified["chain"]] == ["base", "raw-data", "tokenizer", "training-data", "adapter"]
    assert "is not a release" in run("verify", adapter, "--head", "x", code=2)
    assert {"raw-data", "adapter"} <= {one["kind"] for one in json.loads(run("lineage", "--from-source", "faq", "--json"))}
    rows = Path(f"data/raw/{NAME}/rows.jsonl")
    rows.chmod(0o644)
    rows.write_text("x")
    assert f"{rows}: changed" in run("verify", adapter, "--json", code=3)
