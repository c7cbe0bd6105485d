"""Every file of the project that a stage reads is a declared dependency, and every file that it writes a declared output.

The stages of the whole chain run under an audit of the files that Python opens (tests/audit). Files that libraries open in
compiled code, such as weights, are not seen; their directories contain files that are.
"""

import re
from pathlib import Path

import pytest
import yaml

from fineline.artifacts import RECORD
from fineline.project.versions import STAGES

DRAFT = re.compile(r"\.(.+?)\.(?:building-)?\d+")
PARAMETERS = {Path("params.yaml"), Path("fineline.lock")}
SHOWN_ONLY = {
    "train": {Path("reports/support/plan.json")},
    "assess": {
        Path("reports/bases/tiny/provenance/base.json"),
        *(Path("reports/support", f"{name}.json") for name in ("curation", "plan", "settings", "training")),
        *(Path("reports/support", f"{name}.csv") for name in ("loss", "validation_loss")),
        *(Path("reports/support/provenance", f"{name}.json") for name in ("ingest", "curate", "train", "merge", "export")),
    },
}
"""Files that a stage copies numbers from for people, if they are there: a new forecast must not make a training stale."""


@pytest.fixture(scope="module")
def opened(readme_chain: Path) -> dict[str, dict[str, set[Path]]]:
    """Stage -> `r` and `w` -> files of the project that it opened, drafts under the names of what they become."""
    found = {}
    for log in (readme_chain.parent / "opened").iterdir():
        modes: dict[str, set[Path]] = {"r": set(), "w": set()}
        for line in log.read_text(encoding="utf-8").splitlines():
            path = Path(line[2:])
            if path.is_relative_to(readme_chain):
                parts = [
                    DRAFT.sub(r"\1", part) if DRAFT.fullmatch(part) else part for part in path.relative_to(readme_chain).parts
                ]
                modes[line[0]].add(Path(*parts))
        found[log.name] = modes
    return found


def name(stage: str) -> str:
    return f"{stage}@{'tiny' if stage == 'base' else 'support'}"


def declared(readme_chain: Path, stage: str, kind: str) -> set[Path]:
    """Return the dependencies or outputs of a stage, as DVC resolved them."""
    locked = yaml.safe_load((readme_chain / "dvc.lock").read_text())["stages"][name(stage)]
    return {Path(entry["path"]) for entry in locked.get(kind, [])}


def within(path: Path, places: set[Path]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def is_internal(path: Path) -> bool:
    """True for the scratch directory and for code."""
    return path.parts[0] in (".fineline", "pipelines")


@pytest.mark.parametrize("stage", list(STAGES))
def test_every_file_that_a_stage_reads_is_declared(readme_chain, opened, stage):
    deps, outs = declared(readme_chain, stage, "deps"), declared(readme_chain, stage, "outs")
    records = {(dep if (readme_chain / dep).is_dir() else dep.parent) / RECORD for dep in deps}  # only to verify declared files
    read = {path for path in opened[name(stage)]["r"] if not is_internal(path)}
    assert read >= PARAMETERS
    allowed = PARAMETERS | records | SHOWN_ONLY.get(stage, set())
    assert not {path for path in read - allowed if not within(path, deps | outs)}


@pytest.mark.parametrize("stage", list(STAGES))
def test_every_file_that_a_stage_writes_is_declared(readme_chain, opened, stage):
    written = {path for path in opened[name(stage)]["w"] if not is_internal(path)}
    assert written
    assert not {path for path in written if not within(path, declared(readme_chain, stage, "outs"))}


@pytest.mark.parametrize("stage", list(STAGES))
def test_every_declared_dependency_is_read(readme_chain, opened, stage):
    """A dependency that is not read makes a stage stale for nothing."""
    read = opened[name(stage)]["r"]
    needed = declared(readme_chain, stage, "deps") - {Path("evidence/support")}  # which contains no evidence here
    assert not {dep for dep in needed if not any(within(path, {dep}) for path in read)}
