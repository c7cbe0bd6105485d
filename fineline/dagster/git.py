"""Git commands of retraining."""

import os
import subprocess
from functools import lru_cache
from pathlib import Path

from fineline.errors import FinelineError, InputError

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
        raise InputError(f"{root}: retraining starts from a commit, and there is none; make one with `git commit`") from error


@lru_cache
def prefix(root: Path) -> str:
    """Return the path of `root` in its git repository; empty for the top."""
    return git(root, "rev-parse", "--show-prefix").rstrip("/")


def tracks(root: Path, path: str) -> bool:
    """True if the commit that is checked out has a file at the path."""
    return bool(git(root, "ls-tree", "-r", "--name-only", "HEAD", "--", path))


def branches(root: Path, prefix: str) -> list[str]:
    """Return the branches below a prefix, the newest first."""
    listed = git(root, "for-each-ref", "--sort=-creatordate", "--format=%(refname:short)", f"refs/heads/{prefix}")
    return listed.splitlines()
