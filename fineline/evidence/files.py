"""Files of evidence: stamped, verified when they are read, and applied to one candidate.

A stamped file cannot be changed unnoticed: stamp and files are verified before anything is used.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fineline.artifacts import canonical, reports
from fineline.errors import InputError
from fineline.evidence.schema import Evidence, check

MOST_BYTES = 2**20
"""Maximum size of a file of evidence; raw output belongs into separate files."""
INCONCLUSIVE = "inconclusive"
KINDS = {"adapter": "adapter", "merged": "merged-model", "exported": "exported-model"}
"""Arm -> kind of its artifact."""
_OPEN = "0" * 64  # placeholder for unknown digests while the rest is checked


def read(file: Path) -> Evidence:
    """Read evidence and verify its stamp and its files.

    Raises:
        InputError: The file is missing, too large, not a plain file or not strict JSON; a key or a value is not accepted; the
            stamp does not match the content; a file that it names is missing or changed.
    """
    content = load(file)
    evidence = check(content, file)
    stamped = canonical.digest({key: value for key, value in content.items() if key != "digest"})
    if stamped != evidence.digest:
        raise InputError(
            f"{file}: digest: found {evidence.digest}, but the content has {stamped}: it was changed after it was stamped;"
            " restore it, or remove `digest` and run `fineline evidence stamp` if the change is intended"
        )
    for named in evidence.files:
        found = sha256(plain(file.parent, named.path, file))
        if found != named.sha256:
            raise InputError(
                f"{file}: files: {named.path} has sha256 {found}, but {named.sha256} was stamped; restore it, or stamp again"
            )
    return evidence


def load(file: Path) -> Any:
    """Parse a JSON file strictly.

    Raises:
        InputError: The file is missing, too large, not a plain file or not strict JSON.
    """
    plain(file.parent, file.name, file)
    with file.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(f"{file}: larger than {MOST_BYTES:,} bytes; put raw output into a file that `files` names")
    try:
        return canonical.parse(content)
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON: {error}") from error


def plain(directory: Path, relative: str, where: Path) -> Path:
    """Return the path of a plain file below a directory.

    Args:
        where: The file that names it, for the message.

    Raises:
        InputError: It is missing, not a plain file, or reached through a symbolic link.
    """
    path = directory
    for part in ("", *Path(relative).parts):
        path = path / part
        if path.is_symlink():
            raise InputError(f"{where}: {path} is a symbolic link; evidence must consist of plain files")
    if not path.exists():
        raise InputError(f"{path}: missing" if path == where else f"{where}: files: {path} is missing")
    if not path.is_file():
        raise InputError(f"{where}: {path} is not a plain file")
    return path


def sha256(file: Path) -> str:
    """Return the sha256 of a file in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def stamp(draft: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Return the draft with the sha256 of each file that it names, and its digest.

    Args:
        draft: The content of evidence without `digest`; an entry of `files` needs no `sha256`.
        where: The file that will contain it; named files are relative to its directory.

    Raises:
        InputError: The draft is already stamped, a key or a value is not accepted, or a file is missing or has another sha256
            than the draft.
    """
    if not isinstance(draft, Mapping):
        raise InputError(f"{where}: an object is needed, found {type(draft).__name__}")
    if "digest" in draft:
        raise InputError(f"{where}: digest: it is already stamped; remove the key to stamp it again")
    content = dict(draft)
    if isinstance(content.get("files"), list):
        content["files"] = [{"sha256": _OPEN, **entry} if isinstance(entry, dict) else entry for entry in content["files"]]
    check({**content, "digest": f"sha256:{_OPEN}"}, where)
    for entry in content.get("files", ()):
        found = sha256(plain(where.parent, entry["path"], where))
        if entry["sha256"] not in (_OPEN, found):
            raise InputError(f"{where}: files: {entry['path']} has sha256 {found}, but the draft has {entry['sha256']}")
        entry["sha256"] = found
    content["digest"] = canonical.digest(content)
    return content


def write(draft: Mapping[str, Any], file: Path) -> Evidence:
    """Stamp a draft and write it in one step: a reader sees the old file or the new one.

    Raises:
        InputError: As `stamp`, or the file or its directory is a symbolic link.
    """
    refuse_links(file)
    stamped = stamp(draft, file)
    evidence = check(stamped, file)
    reports.write(file, stamped)
    return evidence


def refuse_links(file: Path) -> None:
    """Raise `InputError` if the file or its directory is a symbolic link."""
    for path in (file, file.parent):
        if path.is_symlink():
            raise InputError(f"{file}: {path} is a symbolic link; evidence must consist of plain files")


def stamp_file(file: Path) -> Evidence:
    """Stamp the draft in a file, in place.

    Raises:
        InputError: As `load` and `stamp`.
    """
    return write(load(file), file)


@dataclass(frozen=True)
class Judgment:
    """One file of evidence, applied to a candidate."""

    name: str
    """The name in `gate.evidence`: the file's name without `.json`."""
    verdict: str
    """The verdict of the file, or `inconclusive` if it was made for another candidate."""
    reason: str
    tool: str
    subject: str | None
    """The judged artifact of this candidate; None if another artifact was judged."""
    made: str
    by: str
    measures: dict[str, dict[str, Any]]
    digest: str


def collect(directory: Path, subjects: Mapping[str, str], references: Iterable[str] = ()) -> list[Judgment]:
    """Return every file of evidence in a directory, by name; none if there is no directory.

    Args:
        subjects: Arm (`adapter`, `merged`, `exported`) -> digest of this candidate's artifact.
        references: Digests of the models that this candidate was compared with: base and champion.

    Raises:
        InputError: It is not a plain directory, or `read` refuses a file.
    """
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise InputError(f"{directory}: not a plain directory, so evidence cannot be read from it")
    arms = {(KINDS[arm], digest): arm for arm, digest in subjects.items()}
    compared = set(references)
    found = []
    for file in sorted(directory.glob("*.json")):
        evidence = read(file)
        arm = arms.get((evidence.subject.kind, evidence.subject.digest))
        unrelated = None
        if arm is None:
            unrelated = (
                f"made for another candidate ({evidence.subject.kind} {evidence.subject.digest[:19]}), so it does not apply"
            )
        elif evidence.against is not None and evidence.against.digest not in compared:
            unrelated = (
                f"compared with another {evidence.against.kind} ({evidence.against.digest[:19]}) than this evaluation, so it"
                " does not apply"
            )
        found.append(
            Judgment(
                name=file.stem,
                verdict=INCONCLUSIVE if unrelated else evidence.verdict,
                reason=unrelated or evidence.reason,
                tool=f"{evidence.tool.name} {evidence.tool.version}",
                subject=arm,
                made=evidence.made,
                by=evidence.by,
                measures={name: measure.model_dump(exclude_none=True) for name, measure in evidence.measures.items()},
                digest=evidence.digest,
            )
        )
    return found


def required(
    judgments: Iterable[Judgment], names: Sequence[str], directory: Path = Path("evidence/<adapter>")
) -> list[tuple[str, str]]:
    """Return (verdict, reason) of each name in the policy `gate.evidence`; missing evidence is inconclusive."""
    found = {judgment.name: judgment for judgment in judgments}
    judged = []
    for name in names:
        judgment = found.get(name)
        if judgment is None:
            remedy = f"run the tool on this candidate and stamp its result as {directory}/{name}.json (evidence/README.md)"
            judged.append((INCONCLUSIVE, f"evidence {name}: missing; {remedy}."))
        else:
            about = f"{judgment.tool}, of the {judgment.subject}" if judgment.subject else judgment.tool
            judged.append((judgment.verdict, f"evidence {name}: {judgment.reason.rstrip('.')} ({about})."))
    return judged
