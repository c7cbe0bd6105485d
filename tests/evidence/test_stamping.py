"""Stamp evidence, and refuse to read what is not stamped or was changed."""

import hashlib
import json
import os

import pytest

from fineline import evidence
from fineline.artifacts import canonical
from fineline.errors import InputError


def changed(content, path, value):
    """A copy of the content with another value at `a.b`; `...` removes the key."""
    copy = json.loads(json.dumps(content))
    *parents, last = path.split(".")
    part = copy
    for key in parents:
        part = part[int(key) if isinstance(part, list) else key]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return copy


def test_a_draft_becomes_evidence_that_can_be_read(draft, put, directory):
    raw = directory / "raw" / "attacks.jsonl"
    file = put(draft | {"files": [{"path": "raw/attacks.jsonl"}]})
    made = evidence.stamp_file(file)
    assert made == evidence.read(file)
    assert made.files[0].sha256 == hashlib.sha256(raw.read_bytes()).hexdigest()
    content = json.loads(file.read_text())
    assert content.pop("digest") == canonical.digest(content) == made.digest
    assert [path.name for path in directory.iterdir() if path.is_file()] == ["redteam.json"]  # no draft remains


def test_the_stamp_covers_the_content_and_not_its_layout(draft, put):
    made = evidence.stamp_file(put(draft))
    content = json.loads(put(draft).read_text())
    turned = dict(reversed((content | {"digest": made.digest}).items()))
    assert evidence.read(put(json.dumps(turned, separators=(",", ":")).encode())).digest == made.digest


def test_stamping_does_not_change_the_draft(draft, directory):
    draft["files"] = [{"path": "raw/attacks.jsonl"}]
    before = json.dumps(draft)
    assert "digest" in evidence.stamp(draft, directory / "x.json")
    assert json.dumps(draft) == before


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("verdict", "fail"),
        ("measures.withstood.value", 0.999),
        ("measures.withstood.items", 41),
        ("subject.digest", f"sha256:{'cd' * 32}"),
        ("reason", "Every attack was withstood!"),
        ("tool.judge", {"model": "m", "prompt": f"sha256:{'0' * 64}"}),
        ("suite.digest", f"sha256:{'0' * 64}"),
    ],
)
def test_any_change_after_the_stamp_is_detected(draft, put, path, value):
    file = put(draft)
    evidence.stamp_file(file)
    put(changed(json.loads(file.read_text()), path, value))
    with pytest.raises(InputError, match=r"redteam\.json: digest: found sha256:.*changed after it was stamped"):
        evidence.read(file)


def test_a_changed_or_missing_raw_file_is_detected(draft, put, directory):
    file = put(draft | {"files": [{"path": "raw/attacks.jsonl"}]})
    evidence.stamp_file(file)
    raw = directory / "raw" / "attacks.jsonl"
    raw.write_text("other")
    with pytest.raises(InputError, match=r"redteam\.json: files: raw/attacks\.jsonl has sha256 .* was stamped"):
        evidence.read(file)
    raw.unlink()
    with pytest.raises(InputError, match=r"redteam\.json: files: .*attacks\.jsonl is missing"):
        evidence.read(file)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("verdict", "ok", "verdict: Input should be 'pass', 'fail' or 'inconclusive' (found 'ok')"),
        ("verdit", "pass", "verdit: unknown key; did you mean 'verdict'?"),
        ("verdict", ..., "verdict: this key is required"),
        ("tool.vresion", "1", "tool.vresion: unknown key; did you mean 'version'?"),
        ("tool.judge", {"model": "m"}, "tool.judge.prompt: this key is required"),
        (
            "tool.judge",
            {"model": "m", "prmpt": "x", "prompt": f"sha256:{'0' * 64}"},
            "tool.judge.prmpt: unknown key; did you mean",
        ),
        ("schema", "fineline/evidence/v2", "schema: Input should be 'fineline/evidence/v1' (found 'fineline/evidence/v2')"),
        ("subject.kind", "base", "subject.kind: Input should be 'adapter', 'merged-model' or 'exported-model' (found 'base')"),
        ("subject.digest", "abc", "subject.digest: must be `sha256:` and 64 lowercase hexadecimal digits (found 'abc')"),
        ("made", "2026-03-01 12:00", "made: a UTC time such as 2026-03-01T12:00:00Z is needed (found '2026-03-01 12:00')"),
        ("made", "2026-02-30T12:00:00Z", "made: a UTC time"),
        ("measures", {}, "measures: Dictionary should have at least 1 item"),
        ("measures.withstood.value", "0.9", "measures.withstood.value: Input should be a valid number (found '0.9')"),
        ("measures.withstood.value", True, "measures.withstood.value: Input should be a valid number (found True)"),
        ("measures.withstood.lower", 2, "measures.withstood: `lower` is 2, above `upper`, which is 1"),
        ("measures.withstood.itmes", 2, "measures.withstood.itmes: unknown key; did you mean 'items'?"),
        ("by", "  ", "by: one line of text is needed"),
        ("reason", "red \x1b[31m", "reason: one line of text is needed, without control characters"),
        ("reason", "\u202epass", "reason: one line of text is needed"),
        ("files", [{"path": "/etc/hostname"}], "files.0.path: a path below the directory of the evidence is needed"),
        ("files", [{"path": "../other/x"}], "files.0.path: a path below the directory"),
        ("files", [{"path": "raw/../../x"}], "files.0.path: a path below the directory"),
        ("files", [{"path": "raw\\x"}], "files.0.path: a path below the directory"),
        ("files", [{"path": "output.json"}], "files.0.path: every .json file in this directory is read as evidence"),
        ("files", [{"path": "raw"}], "raw is not a plain file"),
        ("files", [{"path": "raw/none"}], "raw/none is missing"),
        ("files", [{"path": "raw/attacks.jsonl"}] * 2, "`files` names a path twice"),
        ("files", [{"path": "raw/attacks.jsonl", "sha256": "12" * 32}], "but the draft has 1212"),
        ("files", ["raw/attacks.jsonl"], "files.0: Input should be a valid dictionary"),
        ("digest", f"sha256:{'0' * 64}", "digest: it is already stamped"),
    ],
)
def test_an_invalid_draft_is_refused_with_the_key(draft, put, path, value, problem):
    file = put(changed(draft, path, value))
    before = file.read_bytes()
    with pytest.raises(InputError) as caught:
        evidence.stamp_file(file)
    assert str(file) in str(caught.value)
    assert problem in str(caught.value)
    assert file.read_bytes() == before


def test_all_problems_are_reported_at_once(draft, put):
    with pytest.raises(InputError) as caught:
        evidence.stamp_file(put(changed(changed(draft, "verdict", "ok"), "by", "")))
    assert len(str(caught.value).splitlines()) == 2


def test_unstamped_drafts_and_other_json_are_not_evidence(draft, put):
    required = "this key is required"
    for content, problem in ((draft, f"digest: {required}"), ([1], "valid dictionary"), ({}, f"schema: {required}")):
        with pytest.raises(InputError, match=problem):
            evidence.read(put(content))
    with pytest.raises(InputError, match="an object is needed, found list"):
        evidence.stamp_file(put([1]))


def test_broken_json_is_an_input_error_with_the_file(put):
    with pytest.raises(InputError, match=r"redteam\.json: not valid JSON: duplicate key 'a'"):
        evidence.read(put(b'{"a": 1, "a": 2}'))


def test_a_huge_file_is_refused_unread(put):
    with pytest.raises(InputError, match="larger than 1,048,576 bytes"):
        evidence.read(put(b" " * (2**20 + 1)))


def test_nothing_is_read_or_written_through_a_symbolic_link(draft, put, directory, tmp_path):
    file = put(draft | {"files": [{"path": "raw/attacks.jsonl"}]})
    evidence.stamp_file(file)
    outside = tmp_path / "outside"
    outside.mkdir()
    (directory / "raw").rename(outside / "raw")
    (directory / "raw").symlink_to(outside / "raw")
    with pytest.raises(InputError, match="raw is a symbolic link"):
        evidence.read(file)
    link = directory / "link.json"
    link.symlink_to(file)
    with pytest.raises(InputError, match=r"link\.json is a symbolic link"):
        evidence.read(link)
    with pytest.raises(InputError, match=r"link\.json is a symbolic link"):
        evidence.write(draft, link)
    (tmp_path / "evidence" / "other").symlink_to(directory)
    with pytest.raises(InputError, match="other is a symbolic link"):
        evidence.read(tmp_path / "evidence" / "other" / "redteam.json")
    with pytest.raises(InputError, match="not a plain directory"):
        evidence.collect(tmp_path / "evidence" / "other", {})


def test_a_pipe_in_place_of_a_file_does_not_hang(draft, put, directory):
    os.mkfifo(directory / "raw" / "pipe")
    with pytest.raises(InputError, match="not a plain file"):
        evidence.stamp_file(put(draft | {"files": [{"path": "raw/pipe"}]}))
    os.mkfifo(directory / "pipe.json")
    with pytest.raises(InputError, match="not a plain file"):
        evidence.read(directory / "pipe.json")


def test_a_missing_file_is_an_input_error(directory):
    with pytest.raises(InputError, match=r"none\.json: missing"):
        evidence.read(directory / "none.json")
