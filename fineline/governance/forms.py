"""Further forms of a candidate: the model in other formats, which a release may contain next to the form that is first.

Each is judged by itself: candidate.json lists them as `others`, with digest and verdict. Every approval binds that report, so a
form needs no separate approval. In a release they are in `forms/<form>/`, and their records in `records/forms/<form>/`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fineline import artifacts
from fineline.artifacts import Artifact, canonical
from fineline.errors import InputError, Refused, did_you_mean
from fineline.project import layout
from fineline.project.candidate import Chain

DIRECTORY = "forms"
"""Of a release."""

Forms = Mapping[str, tuple[Path, Artifact]]
"""Form -> directory and record."""


def chosen(names: Sequence[str], reports: Mapping[str, Any]) -> list[str]:
    """Return the further forms that are meant by the names of forms or formats, without the form that is released first.

    Args:
        reports: Name -> content, with `candidate` and `export`.

    Raises:
        InputError: A name is neither.
    """
    others: Mapping[str, Any] = reports["candidate"].get("others") or {}
    first = reports["export"].get("shipped", "quantized")
    own = (reports["export"].get("forms") or {}).get(first) or {}
    found: list[str] = []
    for name in names:
        meant = [form for form, facts in others.items() if name in (form, facts.get("format"))]
        if not meant and name not in (first, own.get("format")):
            known = [first, *others, *(str(facts.get("format")) for facts in others.values())]
            raise InputError(
                f"--formats: the candidate has no form {name!r}{did_you_mean(name, list(dict.fromkeys(known)))};"
                " `export.formats` of params.yaml decides which are made"
            )
        found += [form for form in meant if form not in found]
    return sorted(found)


def collect(adapter: str, names: Sequence[str], candidate: Mapping[str, Any], chain: Chain, root: Path = Path()) -> Forms:
    """Return further forms of a candidate, every byte verified.

    Args:
        candidate: The content of candidate.json.
        chain: What the candidate was made from.

    Raises:
        InputError: A form is missing.
        Refused: A form is not the one that was judged, or was made from something else.
    """
    found = {}
    for form in names:
        path = root / layout.export(adapter, form)
        artifact = artifacts.verified(path)
        judged = candidate["others"][form]["candidate"]["digest"]
        if artifact.digest != judged:
            raise Refused(f"{path}: is {artifact.digest}, but {judged} was judged; run `dvc repro assess@{adapter}`")
        check_inputs(form, artifact, {role: one for role, (_, one) in chain.items()})
        found[form] = (path, artifact)
    return found


def check_inputs(form: str, artifact: Artifact, chain: Mapping[str, Artifact]) -> None:
    """Raise `Refused` unless a form was made from the artifacts of a chain."""
    for role, source in artifact.inputs.items():
        if role not in chain or not source.is_from(chain[role]):
            raise Refused(f"the form {form} was made from another {role}, {source.digest}")


def name(evidence: Mapping[str, Any], forms: Mapping[str, str]) -> str:
    """Return the name of a release: the digest of its evidence, and of its further forms if it has any.

    Args:
        forms: Form -> digest.
    """
    return canonical.digest({"evidence": evidence, "forms": forms} if forms else evidence)


def digests(record: Mapping[str, Any]) -> dict[str, str]:
    """Return form -> digest of the further forms in the content of release.json."""
    return {form: one["digest"] for form, one in (record.get("forms") or {}).items()}


def verdicts(names: Sequence[str], candidate: Mapping[str, Any], accepted: Sequence[str]) -> list[str]:
    """Return a sentence for each form whose verdict is not among the accepted ones.

    Args:
        candidate: The content of candidate.json.
    """
    found = []
    for form in names:
        judged = candidate["others"][form]
        if judged["verdict"] not in accepted:
            reasons = f" ({'; '.join(judged['reasons'])})" if judged.get("reasons") else ""
            found.append(
                f"the verdict of the form {form} is {judged['verdict']!r}; this channel accepts {', '.join(accepted)}{reasons}"
            )
    return found


def described(forms: Forms, candidate: Mapping[str, Any]) -> dict[str, Any]:
    """Return the forms as release.json describes them.

    Args:
        candidate: The content of candidate.json.
    """
    found = {}
    for form, (_, artifact) in forms.items():
        found[form] = artifact.as_json() | {"verdict": candidate["others"][form]["verdict"]}
        del found[form]["files"]
    return found


def check_placed(
    release: Path, record: Mapping[str, Any], candidate: Any, chain: Mapping[str, Artifact], found: Mapping[str, Any]
) -> None:
    """Check the further forms of a release.

    Args:
        record: The content of release.json.
        candidate: The content of candidate.json in the release.
        chain: Role -> record of what the candidate was made from.
        found: Path -> entry of the manifest of each file of the release.

    Raises:
        Refused: A form is not the one that was judged, was made from something else, or its files are not those of its record.
    """
    listed = digests(record)
    present = {path.split("/")[1] for path in found if path.startswith(f"{DIRECTORY}/")}
    if present != set(listed):
        raise Refused(
            f"{release}/{DIRECTORY}: contains {', '.join(sorted(present)) or 'nothing'}, and release.json lists others"
        )
    for form, digest in listed.items():
        artifact = artifacts.read(release / "records" / DIRECTORY / form)
        judged = (candidate.get("others") or {}).get(form) or {}
        same = {artifact.digest, artifacts.digest(artifact.files), digest, judged.get("candidate", {}).get("digest")}
        if len(same) > 1 or record["forms"][form].get("verdict") != judged.get("verdict"):
            raise Refused(f"{release}/{DIRECTORY}/{form}: its record, release.json and candidate.json are about other files")
        check_inputs(form, artifact, chain)
        place = f"{DIRECTORY}/{form}/"
        inside = {
            path.removeprefix(place): {**entry, "path": path.removeprefix(place)}
            for path, entry in found.items()
            if path.startswith(place)
        }
        if {path: one for path, one in inside.items() if path != artifacts.RECORD} != {
            one["path"]: one for one in artifact.files
        }:
            raise Refused(f"{release}/{DIRECTORY}/{form}: not the files of {digest}")
