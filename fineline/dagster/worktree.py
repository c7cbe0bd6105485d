"""A checkout of its own for retraining: nobody's edits get in, and nothing of it gets into anybody's tree.

It lies in .fineline/worktrees/<adapter>, stands at the commit that the project has checked out, and shares the project's DVC
cache, so that what was made once is never made twice, and the scores of base models. Rows that git does not know, because
they are data, are copied as they lie in the project.
"""

import configparser
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fineline.dagster.git import branches, git, head, tracks
from fineline.errors import FinelineError, InputError
from fineline.project import layout, params

_SHARED = ("champions", "scores")  # of the scratch files: named after digests, so they may meet
_LOCAL = Path(".dvc/config.local")


@dataclass(frozen=True)
class Worktree:
    """The checkout in which an adapter is retrained."""

    project: Path
    adapter: str

    @property
    def root(self) -> Path:
        """Where it lies."""
        return self.project / layout.SCRATCH / "worktrees" / self.adapter

    @property
    def branches(self) -> str:
        """What the names of its results begin with."""
        return f"retrain/{self.adapter}/"


def prepare(project: Path, adapter: str) -> Worktree:
    """The worktree at today's commit, with today's rows.

    Raises:
        InputError: The project is no git repository, or the source is not there.
        FinelineError: git cannot do it.
    """
    worktree = Worktree(project, adapter)
    commit = head(project)
    try:
        _check_out(worktree, commit)
    except FinelineError:
        if not _is_damaged(worktree.root):  # a full disk, say: it holds the checkpoint of a training that stopped
            raise
        shutil.rmtree(worktree.root, ignore_errors=True)
        _check_out(worktree, commit)
    if adapter not in params.load(worktree.root / params.FILE).adapters:
        raise InputError(
            f"{params.FILE}: adapters.{adapter} is not in the commit that is checked out ({commit[:12]}); commit it"
        )
    _share(worktree)
    _bring_rows(worktree)
    return worktree


def _is_damaged(root: Path) -> bool:
    """Whether git cannot read it: moved, half removed, or cut by a power failure."""
    try:
        git(root, "ls-files", "--", str(params.FILE))
    except FinelineError:
        return True
    return False


def _check_out(worktree: Worktree, commit: str) -> None:
    git(worktree.project, "worktree", "prune")
    if not (worktree.root / ".git").exists():
        shutil.rmtree(worktree.root, ignore_errors=True)
        worktree.root.parent.mkdir(parents=True, exist_ok=True)
        git(worktree.project, "worktree", "add", "--force", "--force", "--detach", str(worktree.root), commit)
    _remove_stale_lock(worktree.root)
    git(worktree.root, "checkout", "--force", "--detach", commit)
    git(worktree.root, "clean", "--force", "-d", "--quiet")


def save(worktree: Worktree, message: str, moment: datetime | None = None) -> tuple[str, bool] | None:
    """Commit what was made to a branch of its own.

    Returns:
        The branch, and whether it is new: the same result is never saved twice. None if nothing differs from the commit.
    """
    root = worktree.root
    results = _results(worktree)
    git(root, "add", "--all", "--", *results)
    source = params.load(root / params.FILE).adapter(worktree.adapter).source.path
    if tracks(root, source):
        git(root, "add", "--update", "--", source)  # rows that git does not know stay unknown to it
        results.append(source)
    tree = git(root, "write-tree")
    if tree == git(root, "rev-parse", "HEAD^{tree}"):
        return None
    for branch in branches(root, worktree.branches):
        if not git(root, "diff", "--name-only", branch, tree, "--", *results):  # whatever else was committed since
            return branch, False
    name = f"{worktree.branches}{(moment or datetime.now(UTC)).strftime('%Y-%m-%dT%H%M%SZ')}"
    commit = git(root, "commit-tree", tree, "-p", "HEAD", "-m", message)
    git(root, "branch", name, commit)
    return name, True


def _results(worktree: Worktree) -> list[str]:
    """What a retraining may change, beside rows in git: DVC's record, the pins of the source, reports."""
    found = ["dvc.lock", str(params.FILE), layout.reports(worktree.adapter).as_posix()]
    return [path for path in found if (worktree.root / path).exists()]


def _share(worktree: Worktree) -> None:
    """One cache and one set of remotes for both, whatever they are relative to."""
    project, root = worktree.project / ".dvc", worktree.root
    local = _config(worktree.project / _LOCAL)
    merged = _config(project / "config", worktree.project / _LOCAL)
    for section in ("core", "cache"):
        if not local.has_section(section):
            local.add_section(section)
    local.set("cache", "dir", str(cache_directory(worktree.project)))
    for section in merged.sections():
        url = merged.get(section, "url", fallback="")
        if section.startswith("'remote ") and url and "://" not in url:
            if not local.has_section(section):
                local.add_section(section)
            local.set(section, "url", str((project / url).resolve()))
    with (root / _LOCAL).open("w", encoding="utf-8") as file:
        local.write(file)
    (root / _LOCAL).chmod(0o600)  # it may hold the keys of a store
    for name in _SHARED:
        place, link = worktree.project / layout.SCRATCH / name, root / layout.SCRATCH / name
        place.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            shutil.rmtree(link, ignore_errors=True)
            link.symlink_to(place.resolve())


def cache_directory(project: Path) -> Path:
    """Where DVC keeps every version of every result."""
    place = project / ".dvc"
    configured = _config(place / "config", project / _LOCAL).get("cache", "dir", fallback="cache")
    return (place / configured).resolve()


def _config(*files: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.read([file for file in files if file.exists()], encoding="utf-8")
    return found


def _bring_rows(worktree: Worktree) -> None:
    """Copy what git is to leave alone of the source as it lies in the project: rows that it knows are those of the commit."""
    path = params.load(worktree.root / params.FILE).adapter(worktree.adapter).source.path
    if Path(path).is_absolute():
        return
    if tracks(worktree.project, path):
        git(worktree.root, "clean", "-ffdx", "--quiet", "--", path)
        for file in git(worktree.project, "ls-files", "--others", "--ignored", "--exclude-standard", "-z", "--", path).split(
            "\0"
        ):
            if file:
                _copy(worktree, file)
        return
    _copy(worktree, path)


def _copy(worktree: Worktree, path: str) -> None:
    """A file or a directory of the project, in the place of what the worktree has there."""
    source, target = worktree.project / path, worktree.root / path
    if not source.exists():
        raise InputError(f"{path}: no such file or directory; check adapters.{worktree.adapter}.source.path in params.yaml")
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["cp", "--archive", "--reflink=auto", "--dereference", "--", str(source), str(target)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise FinelineError(f"{path}: cannot be copied: {answer.stderr.strip()}")


def _remove_stale_lock(root: Path) -> None:
    """What a git that was killed leaves behind. Nobody else works here: retrainings take turns."""
    (root / git(root, "rev-parse", "--git-path", "index.lock")).unlink(missing_ok=True)
