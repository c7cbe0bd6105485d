"""Reading and appending the files of governance/ledger/."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fineline.artifacts import locks, validation
from fineline.artifacts.files import is_draft, write_text
from fineline.errors import Refused
from fineline.governance import files, statements
from fineline.governance.ledger import CHECKPOINTS, ROOT, Entry, Ledger
from fineline.governance.statements import TYPES, Envelope, Statement
from fineline.project.layout import SCRATCH

if TYPE_CHECKING:
    from securesystemslib.signer import Signer


def read(root: Path = ROOT) -> Ledger:
    """Read the ledger in a directory; it is empty if there is no directory.

    Raises:
        Refused: A file is not an entry or is a link, or the entries do not form a ledger (see `Ledger`).
    """
    files.refuse_links(root.parent, root, root / CHECKPOINTS)
    checkpoints = []  # before the entries: an entry is written before its checkpoint, possibly at this moment
    for file in _files(root / CHECKPOINTS):
        envelope = statements.parse(file.read_bytes(), statements.CHECKPOINT, str(file))
        if file.name != f"{envelope.keyid[:16]}.json":
            raise Refused(f"{file}: this checkpoint is of key {envelope.keyid[:16]}, so its name is wrong")
        checkpoints.append(envelope)
    entries = [entry(file.read_bytes(), file) for file in _files(root)]
    return Ledger(entries, checkpoints, root)


def entry(text: bytes, file: Path) -> Entry:
    """Return the entry in a file.

    Raises:
        Refused: It is not a statement in an envelope, or the file has another name than its content requires.
    """
    envelope = statements.parse(text, statements.STATEMENT, str(file))
    try:
        content = Statement.model_validate(envelope.content)
    except ValidationError as error:
        problems = validation.explain(error, f"{file}: not a statement of this ledger", Statement)
        raise Refused("\n".join(problems)) from error
    except ValueError as error:
        raise Refused(f"{file}: not valid JSON: {error}") from error
    if content.predicateType not in TYPES:
        raise Refused(f"{file}: unknown predicate type {content.predicateType!r}; accepted: {', '.join(TYPES)}")
    found = Entry(f"sha256:{hashlib.sha256(envelope.payload).hexdigest()}", envelope, content)
    if file.name != found.file_name:
        raise Refused(f"{file}: by its content its name must be {found.file_name}; it was edited or renamed")
    return found


@contextmanager
def locked() -> Iterator[None]:
    """Within the context no other process on this machine signs."""
    with locks.hold(SCRATCH / "ledger.lock"):
        yield


def completed(ledger: Ledger, signer: "Signer") -> Ledger:
    """Write the checkpoint that a signer lacks after an interrupted first entry, and return the ledger with it."""
    write_checkpoint(ledger, signer)
    return read(ledger.root)


def append(ledger: Ledger, made: Entry, signer: "Signer") -> Entry:
    """Write an entry at the end of a ledger. A process that is killed leaves the whole entry or none."""
    write(ledger.root / made.file_name, made.envelope)
    write_checkpoint(Ledger([*ledger.entries, made], ledger.checkpoints, ledger.root), signer)
    return made


def write_checkpoint(ledger: Ledger, signer: "Signer") -> None:
    """Sign and write the ends of a ledger as the checkpoint of a signer."""
    content = {"heads": ledger.heads, "entries": len(ledger)}
    keyid = signer.public_key.keyid
    write(ledger.root / CHECKPOINTS / f"{keyid[:16]}.json", statements.sign(content, statements.CHECKPOINT, signer))


def write(file: Path, envelope: Envelope) -> None:
    """Write an envelope in one step, and wait until it is on disk."""
    write_text(file, envelope.text(), durable=True)


def _files(directory: Path) -> list[Path]:
    if not directory.exists():
        return []
    if not directory.is_dir():
        raise Refused(f"{directory}: expected a directory; restore it from git")
    found = sorted(path for path in directory.iterdir() if path.name != CHECKPOINTS and not is_draft(path))
    for path in found:
        if path.is_symlink() or not path.is_file() or path.suffix != ".json":
            raise Refused(f"{path}: a ledger contains its entries only, as plain .json files; move this file elsewhere")
    return found
