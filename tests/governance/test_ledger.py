"""The ledger: edits, deletions, reordering, cuts and forks are noticed, and two people may write at the same time."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from fineline.artifacts import canonical
from fineline.errors import Refused
from fineline.governance import ledger, ledger_files, state, statements, store
from fineline.governance.state import State
from tests.governance.conftest import NAME, day


@pytest.fixture
def signed(world):
    """A ledger of several entries by several people; gives their files in order."""
    world.ready()
    return [ledger.ROOT / entry.file_name for entry in ledger_files.read().entries]


def test_entries_name_what_came_before_and_are_in_order(world, signed):
    book = ledger_files.read()
    assert [entry.person for entry in book.entries[:2]] == ["ada", "dan"]
    assert len(book.heads) == 1
    for earlier, later in zip(book.entries, book.entries[1:], strict=False):
        assert book.follows(later, earlier)
        assert not book.follows(earlier, later)
    State(book, day(5))


def rewrite(file, edit, payload=None):
    """Change an envelope, or what is in it, and leave the signature as it is."""
    content = json.loads(file.read_text())
    if payload:
        inner = json.loads(base64.b64decode(content["payload"]))
        payload(inner)
        content["payload"] = base64.b64encode(canonical.text(inner).encode()).decode()
    if edit:
        edit(content)
    file.write_text(canonical.text(content) + "\n")


def test_an_edited_entry_is_refused(signed):
    rewrite(signed[-1], None, lambda inner: inner["predicate"].update(reason="Something else."))
    with pytest.raises(Refused, match=r"its name must be .*; it was edited or renamed"):
        ledger_files.read()


def test_an_edited_entry_under_the_name_of_its_new_content_is_refused(signed):
    file = signed[-1]
    rewrite(file, None, lambda inner: inner["predicate"].update(reason="Something else."))
    with pytest.raises(Refused) as refused:
        ledger_files.read()
    file.rename(file.with_name(str(refused.value).split("its name must be ")[1].split(";")[0]))
    with pytest.raises(Refused, match="is missing: the ledger was cut"):  # the checkpoint has seen the former one
        State(ledger_files.read(), day(5))
    shutil.rmtree(ledger.ROOT / ledger.CHECKPOINTS)
    with pytest.raises(Refused, match="missing, although"):
        State(ledger_files.read(), day(5))


def test_an_edited_entry_with_all_checkpoints_gone_has_no_signature(world):
    world.adopt()
    (file,) = (path for path in ledger.ROOT.iterdir() if path.is_file())
    rewrite(file, None, lambda inner: inner["predicate"]["policy"]["govern"].update(people=3))
    with pytest.raises(Refused) as refused:
        ledger_files.read()
    file.rename(file.with_name(str(refused.value).split("its name must be ")[1].split(";")[0]))
    shutil.rmtree(ledger.ROOT / ledger.CHECKPOINTS)
    with pytest.raises(Refused, match="the signature is not one of key"):
        State(ledger_files.read(), day(5))


@pytest.mark.parametrize("place", [0, 2, -1])
def test_a_deleted_entry_is_missed(signed, place):
    signed[place].unlink()
    with pytest.raises(Refused, match=r"missing|was cut"):
        ledger_files.read()


def test_a_ledger_that_was_cut_is_refused(signed):
    for file in signed[-3:]:
        file.unlink()
    with pytest.raises(Refused, match="which is missing: the ledger was cut; restore it from git"):
        ledger_files.read()


def test_a_missing_checkpoint_is_missed(world, signed):
    (ledger.ROOT / ledger.CHECKPOINTS / f"{world.keyid('dan')[:16]}.json").unlink()
    with pytest.raises(Refused, match="missing, although dan has signed entries"):
        ledger_files.read()


def test_a_checkpoint_with_another_signature_is_refused(world, signed):
    place = ledger.ROOT / ledger.CHECKPOINTS / f"{world.keyid('dan')[:16]}.json"
    content = json.loads(place.read_text())
    content["signatures"][0]["sig"] = base64.b64encode(b"x" * 64).decode()
    place.write_text(canonical.text(content) + "\n")
    with pytest.raises(Refused, match="the signature is not one of key"):
        State(ledger_files.read(), day(5))


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda content: content.update(payloadType="application/json"), "the payload type is 'application/json', but must be"),
        (lambda content: content.update(signatures=[]), "expected one signature, found 0"),
        (lambda content: content.update(signatures=content["signatures"] * 2), "expected one signature, found 2"),
        (lambda content: content.update(more=1), "not a DSSE envelope"),
        (lambda content: content.update(payload="!"), "not a DSSE envelope"),
        (lambda content: content.pop("payload"), "not a DSSE envelope"),
    ],
)
def test_an_envelope_of_another_form_is_refused(signed, edit, complaint):
    rewrite(signed[-1], edit)
    with pytest.raises(Refused, match=complaint):
        ledger_files.read()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b'{"payload": "", "payload": ""}', "duplicate key 'payload'"),
        (b'{"payload": NaN}', "NaN is not a JSON number"),
        (b'{"payload": "\\ud800"}', "unpaired surrogate"),
        (b"\xff", "not valid JSON"),
        (b"[]", "not a DSSE envelope"),
    ],
)
def test_json_with_two_meanings_is_refused(signed, text, complaint):
    signed[-1].write_bytes(text)
    with pytest.raises(Refused, match=complaint):
        ledger_files.read()


def test_another_spelling_of_the_same_envelope_is_refused(signed):
    signed[-1].write_text(json.dumps(json.loads(signed[-1].read_text()), indent=1))
    with pytest.raises(Refused, match="the file was rewritten"):
        ledger_files.read()


def test_an_unknown_predicate_type_is_refused(world, signed):
    forged(world, "ada", day(5), kind="https://example.com/anything/v1")
    with pytest.raises(Refused, match=r"unknown predicate type 'https://example.com/anything/v1'"):
        ledger_files.read()


@pytest.mark.parametrize("name", ["notes.txt", "entry.json.bak"])
def test_other_files_in_a_ledger_are_refused(signed, name):
    (ledger.ROOT / name).write_text("x")
    with pytest.raises(Refused, match="a ledger contains its entries only"):
        ledger_files.read()


def test_a_link_in_place_of_an_entry_is_refused(signed, tmp_path):
    signed[-1].rename(tmp_path / "elsewhere.json")
    signed[-1].symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(Refused, match="a ledger contains its entries only"):
        ledger_files.read()


def forged(world, name, time, kind=statements.REJECT, link=None, person=None):
    """Write an entry as an attacker with a valid key would."""
    book = ledger_files.read()
    predicate = {"role": "exported", "adapter": "support", "channel": "production", "reason": "x"}
    own = book.next_link(world.keyid(name), person or name, day(28)) | (link or {}) | {"time": time}
    content = statements.statement(kind, {"x": f"sha256:{'a' * 64}"}, predicate, own)
    envelope = statements.sign(content, statements.STATEMENT, world.signers[name])
    import hashlib

    identity = hashlib.sha256(envelope.payload).hexdigest()
    (ledger.ROOT / f"{time.replace('-', '').replace(':', '')}-{identity[:16]}.json").write_text(envelope.text())


def test_two_histories_of_one_signer_are_refused(world, signed):
    last = [entry for entry in ledger_files.read().entries if entry.person == "bob"][-1]
    link = last.statement.predicate.ledger
    forged(world, "bob", day(5), link={"number": link.number, "previous": link.previous, "parents": link.parents})
    with pytest.raises(Refused, match="an entry is missing, or two histories were signed"):
        ledger_files.read()


def test_a_clock_that_was_set_back_is_noticed(world, signed):
    with pytest.raises(Refused, match=r"this machine's clock shows 2026-03-02.*, but the ledger has an entry of 2026-03-03"):
        ledger_files.read().next_link(world.keyid("bob"), "bob", day(2))
    forged(world, "bob", day(2))
    with pytest.raises(Refused, match="signed at 2026-03-02T12:00:00Z, but after an entry of 2026-03-03"):
        ledger_files.read()


def test_an_entry_from_the_future_is_refused(world, signed):
    world.reject("bob", now=day(9))
    with pytest.raises(Refused, match="signed at 2026-03-09T12:00:00Z, which is in the future"):
        State(ledger_files.read(), day(5))


def test_two_people_who_sign_at_once_merge_without_a_conflict(world, signed, tmp_path):
    """As two branches of git would: no file was changed on both."""
    here = ledger.ROOT.resolve()
    shutil.copytree(here, tmp_path / "before")
    world.reject("bob", now=day(5))
    shutil.move(here, tmp_path / "mine")
    shutil.copytree(tmp_path / "before", here)
    world.reject("cho", now=day(6))
    for file in (tmp_path / "mine").rglob("*.json"):
        relative = file.relative_to(tmp_path / "mine")
        versions = [root / relative for root in (tmp_path / "before", here)]
        before, theirs = (path.read_bytes() if path.exists() else None for path in versions)
        if file.read_bytes() != before:
            assert theirs == before
            shutil.copy(file, here / relative)
    book = ledger_files.read()
    assert len(book.heads) == 2
    State(book, day(7))
    world.reject("ada", now=day(7))
    assert len(ledger_files.read().heads) == 1


def test_killed_after_the_entry_and_before_the_checkpoint_the_next_one_goes_on(world, monkeypatch):
    world.adopt()
    world.attest()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ledger_files, "write_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            world.approve("bob")
    assert len(state.load(day(5)).entries_of(statements.APPROVE)) == 1
    world.reject("bob", now=day(4))
    assert state.load(day(5)).ledger.checkpoints


def test_a_process_killed_while_it_writes_leaves_a_draft_that_is_not_an_entry(world):
    world.ready()
    places = (ledger.ROOT, ledger.ROOT / ledger.CHECKPOINTS)
    drafts = [place / ".20260302T100000Z-0123456789abcdef.json.4711" for place in places]
    for draft in drafts:
        draft.write_text('{"half"')
    world.promote(now=day(5))
    assert store.verified(store.directory(NAME, world.release()))
    assert not list(store.directory(NAME, world.release()).rglob(".*"))
    assert not Path(".fineline/building").exists()


def test_a_long_line_of_one_signer_holds(world):
    world.adopt()
    book = ledger_files.read()
    entries, who, grown = list(book.entries), world.who("bob"), book
    predicate = {"role": "exported", "adapter": "x", "channel": "production", "reason": "x"}
    for _ in range(200):
        entries.append(ledger.signed(grown, statements.REJECT, {"x": f"sha256:{'a' * 64}"}, predicate, who, day(2)))
        grown = ledger.Ledger(entries, [*book.checkpoints, checkpoint(world, entries)], ledger.ROOT)
    assert len(State(grown, day(3)).entries_of(statements.REJECT)) == 200


def checkpoint(world, entries):
    heads = {"heads": [entries[-1].id], "entries": len(entries)}
    return statements.sign(heads, statements.CHECKPOINT, world.signers["bob"])
