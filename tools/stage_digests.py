"""Developers' guard for stage versions: the code of a stage changes either with its version or without its results.

    python tools/stage_digests.py check           # part of `make lint`
    python tools/stage_digests.py accept train    # `make accept STAGE=train`; `all` for every stage

stage_digests.json records a digest for each stage: of every module that the stage can reach, without comments, docstrings,
annotations and messages (tools/syntax_digest.py). If the digest changes, either raise the version of the stage in
fineline/project/versions.py, with the reason there and in CHANGELOG.md, or accept the digest because every result is still
the same. A reviewer sees the second as a diff of one line.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import syntax_digest

ROOT = Path(__file__).resolve().parents[1]
RECORD = Path("tools/stage_digests.json")
VERSIONS = Path("fineline/project/versions.py")
CHANGELOG = Path("CHANGELOG.md")
LEFT_OUT = (VERSIONS, Path("fineline/errors.py"), Path("fineline/report"))
"""Files that decide no result: the versions, which are recorded themselves, the exceptions, and the HTML report."""
ALL = "all"

Read = Callable[[Path], str | None]
"""Returns the text of a file of the repository, or None if there is no such file."""


@dataclass(frozen=True)
class Recorded:
    """The line of a stage in stage_digests.json."""

    version: int
    digest: str


def main(arguments: list[str]) -> int:
    """Run `check` or `accept STAGE`, and return the exit code."""
    versions, reasons = published()
    match arguments:
        case ["check"]:
            found = unexplained(versions, reasons, changelog())
            found += problems(versions, {stage: digest(stage) for stage in versions}, read_record())
        case ["accept", stage] if stage == ALL or stage in versions:
            found = unexplained(versions, reasons, changelog())
            if not found:
                accept(versions if stage == ALL else [stage], versions)
        case _:
            print(__doc__)
            print(f"accepted: check | accept {ALL} | accept STAGE, where STAGE is one of: {', '.join(versions)}")
            return 2
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


def problems(versions: Mapping[str, int], digests: Mapping[str, str], recorded: Mapping[str, Recorded]) -> list[str]:
    """Return a message for each stage whose code, version and record do not agree.

    Args:
        versions: Stage -> version in fineline/project/versions.py.
        digests: Stage -> digest of its code now.
        recorded: Stage -> line of stage_digests.json.
    """
    found = [f"{RECORD}: unknown stage {stage!r}; run `make accept STAGE={ALL}`" for stage in recorded.keys() - versions.keys()]
    for stage, version in versions.items():
        before = recorded.get(stage)
        if before is None:
            found.append(f"{RECORD}: no digest of stage {stage!r}; run `make accept STAGE={stage}`")
        elif version < before.version:
            found.append(f"{VERSIONS}: STAGES[{stage!r}] is {version} and was {before.version}; never lower a version")
        elif version > before.version:
            found.append(f"{RECORD}: {stage} has version {version} now; record it with `make accept STAGE={stage}`")
        elif digests[stage] != before.digest:
            found.append(
                f"{stage}: its code changed, but its version is still {version}{_since_record(stage)}\n"
                f"  - if a result changes: raise STAGES[{stage!r}] to {version + 1} in {VERSIONS}, add the reason there and\n"
                f"    to {CHANGELOG}, then run `make accept STAGE={stage}`\n"
                f"  - if every result is the same: run `make accept STAGE={stage}` and commit the changed line of {RECORD}"
            )
    return found


def unexplained(versions: Mapping[str, int], reasons: Mapping[str, Mapping[int, str]], changes: str) -> list[str]:
    """Return a message for each raised version without a reason, or with one that the changelog does not have.

    Args:
        versions: Stage -> version in fineline/project/versions.py.
        reasons: Stage -> version -> reason, in the same file.
        changes: Text of CHANGELOG.md.
    """
    found = []
    for stage, latest in versions.items():
        for version in range(2, latest + 1):
            reason = reasons.get(stage, {}).get(version, "")
            if not reason:
                found.append(f"{VERSIONS}: REASONS[{stage!r}][{version}] is missing; add why version {version} was raised")
            elif f"- `{stage}` {version}: {reason}\n" not in f"{changes}\n":
                found.append(f'{CHANGELOG}: the line "- `{stage}` {version}: {reason}" is missing; add it')
    return found


def accept(stages: Iterable[str], versions: Mapping[str, int]) -> None:
    """Record the present version and digest of some stages."""
    recorded = read_record() | {stage: Recorded(versions[stage], digest(stage)) for stage in stages}
    lines = [
        f'  "{stage}": {json.dumps({"version": recorded[stage].version, "digest": recorded[stage].digest})}'
        for stage in versions
        if stage in recorded
    ]
    (ROOT / RECORD).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_record() -> dict[str, Recorded]:
    """Return the content of stage_digests.json; empty if the file is missing."""
    file = ROOT / RECORD
    content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {stage: Recorded(**line) for stage, line in content.items()}


def published() -> tuple[dict[str, int], dict[str, dict[int, str]]]:
    """Return `STAGES` and `REASONS` of fineline/project/versions.py without importing fineline."""
    names: dict[str, Any] = {}
    exec(compile((ROOT / VERSIONS).read_text(encoding="utf-8"), str(VERSIONS), "exec"), names)
    return names["STAGES"], names["REASONS"]


def changelog() -> str:
    """Return the text of CHANGELOG.md; empty if it is missing."""
    return (ROOT / CHANGELOG).read_text(encoding="utf-8") if (ROOT / CHANGELOG).is_file() else ""


def digest(stage: str) -> str:
    """Return the digest of the code of a stage in the working tree."""
    files = module_digests(f"fineline.stages.{stage}", _on_disk)
    lines = "".join(f"{file.as_posix()} {one}\n" for file, one in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def module_digests(module: str, read: Read) -> dict[Path, str]:
    """Return the digest of every file that running a module can reach, by path.

    Imports in functions count, and so do the data files of a reached package. Imports for a type checker do not.
    """
    found: dict[Path, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = Path(*name.split("."))
        for file in (path / "__init__.py", path.with_suffix(".py")):
            left_out = name.split(".")[0] != "fineline" or any(file.is_relative_to(one) for one in LEFT_OUT)
            source = None if file in found or left_out else read(file)
            if source is None:
                continue
            found[file], imported = _of_source(source)
            for one in imported:  # importing a.b.c runs a/__init__.py and a/b/__init__.py too
                parts = one.split(".")
                waiting += [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
            found |= {data: _of_data(data) for data in _data_of(file.parent)}
    return found


@cache
def _of_source(source: str) -> tuple[str, frozenset[str]]:
    """Return the digest of a module, and the names that it imports."""
    tree = syntax_digest.essence(source)
    return syntax_digest.digest(tree), frozenset(syntax_digest.imports(tree))


@cache
def _of_data(file: Path) -> str:
    """Return the digest of a data file: of its values if it is YAML, so that comments do not count."""
    content = (ROOT / file).read_bytes()
    if file.suffix == ".yaml":
        values = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        content = json.dumps(values, sort_keys=True, default=str).encode()
    return hashlib.sha256(content).hexdigest()


@cache
def _data_of(package: Path) -> tuple[Path, ...]:
    """Return the files of a package that are not code, also in folders without code."""
    folders = [ROOT / package]
    folders += [one for one in folders[0].iterdir() if one.is_dir() and not any(one.rglob("*.py*"))]
    files = [file for folder in folders for file in folder.iterdir() if file.is_file()]
    return tuple(sorted(file.relative_to(ROOT) for file in files if file.suffix != ".py" and file.name != "py.typed"))


def _on_disk(file: Path) -> str | None:
    return (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).is_file() else None


def _since_record(stage: str) -> str:
    """Return the modules that changed since stage_digests.json was committed, as the end of a sentence."""
    commit = _git("log", "-1", "--format=%H", "--", RECORD.as_posix())
    if not commit:
        return ""
    before = module_digests(f"fineline.stages.{stage}", lambda file: _git("show", f"{commit.strip()}:{file.as_posix()}"))
    now = module_digests(f"fineline.stages.{stage}", _on_disk)
    changed = sorted(str(file) for file in before.keys() | now.keys() if before.get(file) != now.get(file))
    return f": {', '.join(changed[:8])}{' and more' if len(changed) > 8 else ''}" if changed else ""


@cache
def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout if answer.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
