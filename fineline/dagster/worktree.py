"""The git worktree in which an adapter is retrained: uncommitted edits stay out, and nothing of it changes the project's files.

It is a checkout of the project's repository in .fineline/worktrees/<adapter>, at the commit that the project has checked out.
The project is at the same path in it as in the repository. It shares the project's DVC cache, so nothing is made twice, and
the scores of base models. Rows that git ignores, because they are data, are copied from the project as they are.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path

from fineline.dagster import dvc_state
from fineline.errors import FinelineError, InputError
from fineline.project import layout, params

# Commits made without a person: no editor, hook or signing key is used.
_UNATTENDED = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "core.editor=true", "-c", "gc.auto=0")
_AUTHOR = {
    "GIT_AUTHOR_NAME": "fineline",
    "GIT_AUTHOR_EMAIL": "fineline@localhost",
    "GIT_COMMITTER_NAME": "fineline",
    "GIT_COMMITTER_EMAIL": "fineline@localhost",
    "GIT_TERMINAL_PROMPT": "0",
}
_OTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # set inside hooks, for another repository


def git(root: Path, *arguments: str) -> str:
    """Return the output of a git command, without the last line break.

    Raises:
        FinelineError: The command failed, or git is not installed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY} | _AUTHOR
    try:
        answer = subprocess.run(
            ["git", *_UNATTENDED, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise FinelineError(f"git cannot be started: {error.strerror}; install it") from error
    if answer.returncode:
        raise FinelineError(f"{root}: `git {' '.join(arguments)}` failed: {answer.stderr.strip()}")
    return answer.stdout.rstrip("\n")


def head(root: Path) -> str:
    """Return the commit that the project at `root` has checked out.

    Raises:
        InputError: It is not in a git repository, or there is no commit yet.
    """
    try:
        return git(root, "rev-parse", "--verify", "HEAD^{commit}")
    except FinelineError as error:
        raise InputError(f"{root}: no commit yet, and retraining starts from a commit; run `git commit`") from error


@lru_cache
def prefix(root: Path) -> str:
    """Return the path of `root` in its git repository; empty for the top."""
    return git(root, "rev-parse", "--show-prefix").rstrip("/")


def tracks(root: Path, path: str) -> bool:
    """True if the commit that is checked out has a file at the path."""
    return bool(git(root, "ls-tree", "-r", "--name-only", "HEAD", "--", path))


_SHARED = ("champions", "scores")  # scratch directories whose entries are named after digests


@dataclass(frozen=True)
class Worktree:
    """The checkout in which an adapter is retrained."""

    project: Path
    adapter: str

    @property
    def checkout(self) -> Path:
        """Return the top of the checkout."""
        return self.project / layout.SCRATCH / "worktrees" / self.adapter

    @cached_property
    def root(self) -> Path:
        """Return the project's root in the checkout: below its top if the project is a directory of a larger repository."""
        return self.checkout / prefix(self.project)

    @property
    def branches(self) -> str:
        """Return the prefix of the branches of its results."""
        return (Path("retrain") / prefix(self.project) / self.adapter).as_posix() + "/"


def prepare(project: Path, adapter: str) -> Worktree:
    """Return the worktree at the current commit with the current rows.

    Raises:
        InputError: The project is not in a git repository, or the source does not exist.
        FinelineError: A git command failed.
    """
    worktree = Worktree(project, adapter)
    commit = head(project)
    try:
        _check_out(worktree, commit)
    except FinelineError:
        if not _is_damaged(worktree):  # such as on a full disk: keep the checkpoint of an interrupted training
            raise
        shutil.rmtree(worktree.checkout, ignore_errors=True)
        _check_out(worktree, commit)
    if not (worktree.root / params.FILE).exists():
        raise InputError(f"{project / params.FILE}: not in the commit that is checked out ({commit[:12]}); commit the project")
    if adapter not in params.load(worktree.root / params.FILE).adapters:
        raise InputError(
            f"{params.FILE}: adapters.{adapter} is not in the commit that is checked out ({commit[:12]}); commit it"
        )
    _share(worktree)
    _copy_rows(worktree)
    return worktree


def _is_damaged(worktree: Worktree) -> bool:
    """True if git cannot read it: moved, partly removed, or truncated by a power failure."""
    try:
        git(worktree.checkout, "ls-files", "--", str(params.FILE))
    except FinelineError:
        return True
    return False


def _check_out(worktree: Worktree, commit: str) -> None:
    place = worktree.checkout
    git(worktree.project, "worktree", "prune")
    if not (place / ".git").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        git(worktree.project, "worktree", "add", "--force", "--force", "--detach", str(place.resolve()), commit)
    _remove_stale_lock(place)
    git(place, "checkout", "--force", "--detach", commit)
    git(place, "clean", "--force", "-d", "--quiet")


def save(worktree: Worktree, message: str, moment: datetime | None = None) -> tuple[str, bool] | None:
    """Commit the results to a branch. Of a larger repository only the project's files are in the commit's changes.

    Returns:
        The branch, and True if it is new: the same result is never saved twice. None if it is the result of the commit.
    """
    root = worktree.root
    results = _results(worktree)
    git(root, "add", "--all", "--", *results)
    source = params.load(root / params.FILE).adapter(worktree.adapter).source.path
    compared = _compared(worktree)
    if tracks(root, source):
        git(root, "add", "--update", "--", source)  # untracked rows stay untracked
        compared.append(source)
    tree = git(root, "write-tree")
    if not git(root, "diff", "--name-only", "HEAD", tree, "--", *compared):
        return None
    listed = git(root, "for-each-ref", "--sort=-creatordate", "--format=%(refname:short)", f"refs/heads/{worktree.branches}")
    for branch in listed.splitlines():
        if not git(root, "diff", "--name-only", branch, tree, "--", *compared):  # other files may differ
            return branch, False
    name = f"{worktree.branches}{(moment or datetime.now(UTC)).strftime('%Y-%m-%dT%H%M%SZ')}"
    commit = git(root, "commit-tree", tree, "-p", "HEAD", "-m", message)
    git(root, "branch", name, commit)
    return name, True


def _results(worktree: Worktree) -> list[str]:
    """Return what a retraining may change besides tracked rows: DVC's record, the pins of the source, reports."""
    adapter = params.load(worktree.root / params.FILE).adapter(worktree.adapter)
    reports = [layout.reports(worktree.adapter), layout.provenance("base", adapter.base)]
    found = ["dvc.lock", str(params.FILE), *(path.as_posix() for path in reports)]
    return [path for path in found if (worktree.root / path).exists()]


def _compared(worktree: Worktree) -> list[str]:
    """Return the files in which two different results differ. The others also contain times, which every run changes."""
    reports = layout.reports(worktree.adapter)
    decided = [(reports / name).as_posix() for name in ("candidate.json", "curation.json", "gate.json", "settings.json")]
    return [str(params.FILE), *decided]


def _share(worktree: Worktree) -> None:
    """Give the worktree the project's cache and remotes, wherever they are relative to."""
    project, root = worktree.project / ".dvc", worktree.root
    local = dvc_state.read_config(worktree.project / dvc_state.LOCAL_CONFIG)
    merged = dvc_state.read_config(project / "config", worktree.project / dvc_state.LOCAL_CONFIG)
    for section in ("core", "cache"):
        if not local.has_section(section):
            local.add_section(section)
    local.set("cache", "dir", str(dvc_state.cache_directory(worktree.project)))
    for section in merged.sections():
        url = merged.get(section, "url", fallback="")
        if section.startswith("'remote ") and url and "://" not in url:
            if not local.has_section(section):
                local.add_section(section)
            local.set(section, "url", str((project / url).resolve()))
    with (root / dvc_state.LOCAL_CONFIG).open("w", encoding="utf-8") as file:
        local.write(file)
    (root / dvc_state.LOCAL_CONFIG).chmod(0o600)  # it may contain the keys of a store
    for name in _SHARED:
        place, link = worktree.project / layout.SCRATCH / name, root / layout.SCRATCH / name
        place.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            shutil.rmtree(link, ignore_errors=True)
            link.symlink_to(place.resolve())


def _copy_rows(worktree: Worktree) -> None:
    """Copy what git ignores of the source from the project; tracked rows are those of the commit."""
    path = params.load(worktree.root / params.FILE).adapter(worktree.adapter).source.path
    if Path(path).is_absolute():
        return
    if not tracks(worktree.project, path):
        _copy(worktree, path)
        return
    git(worktree.root, "clean", "-ffdx", "--quiet", "--", path)
    ignored = git(worktree.project, "ls-files", "--others", "--ignored", "--exclude-standard", "-z", "--", path)
    for file in filter(None, ignored.split("\0")):
        _copy(worktree, file)


def _copy(worktree: Worktree, path: str) -> None:
    """Copy a file or a directory of the project to its place in the worktree, replacing what is there."""
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


def _remove_stale_lock(checkout: Path) -> None:
    """Remove the lock that a killed git process left: nothing else works here, because retrainings hold a lock."""
    (checkout / git(checkout, "rev-parse", "--git-path", "index.lock")).unlink(missing_ok=True)
