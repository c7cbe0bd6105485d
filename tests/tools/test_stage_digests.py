"""The guard on a repository with a stage of two modules."""

import subprocess
from pathlib import Path

import pytest

import stage_digests

VERSIONS = "STAGES = {{'train': {version}}}\nREASONS = {reasons}\n"
HELP = "from fineline.half import half\n\n\ndef run(name: str) -> None:\n    half(name)\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for file, text in {
        "fineline/__init__.py": "",
        "fineline/errors.py": "class InputError(Exception): pass\n",
        "fineline/half.py": 'def half(text):\n    """Return half of a text."""\n    return text[: len(text) // 2]\n',
        "fineline/stages/__init__.py": "",
        "fineline/stages/train.py": HELP,
        "fineline/unrelated.py": "X = 1\n",
        "fineline/project/versions.py": VERSIONS.format(version=1, reasons={}),
        "tools/.keep": "",
        "CHANGELOG.md": "# Changelog\n",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    monkeypatch.setattr(stage_digests, "ROOT", tmp_path)
    forget()
    assert stage_digests.main(["accept", "all"]) == 0
    return tmp_path


@pytest.fixture(autouse=True)
def _no_memory():
    yield
    forget()


def forget():
    for remembered in (stage_digests._git, stage_digests._of_data, stage_digests._data_of):
        remembered.cache_clear()


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def check(capsys):
    code = stage_digests.main(["check"])
    return code, capsys.readouterr().err


def test_a_comment_in_what_a_stage_reaches_passes(repository, capsys):
    edit(repository / "fineline/half.py", "Return half of a text.", "Return the first half of a text.")
    assert check(capsys) == (0, "")


def test_code_that_no_stage_reaches_passes(repository, capsys):
    edit(repository / "fineline/unrelated.py", "1", "2")
    assert check(capsys) == (0, "")


def test_changed_code_of_the_same_version_fails_and_names_the_module_and_both_ways_out(repository, capsys):
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@b.c commit -qm one"):
        subprocess.run(["git", *command.split()], cwd=repository, check=True)
    edit(repository / "fineline/half.py", "// 2", "// 3")
    code, error = check(capsys)
    assert code == 1
    assert "train: its code changed, but its version is still 1: fineline/half.py\n" in error
    assert "raise STAGES['train'] to 2 in fineline/project/versions.py" in error
    assert "make accept STAGE=train" in error


def test_accepted_code_passes_with_one_changed_line(repository, capsys):
    record = repository / stage_digests.RECORD
    before = record.read_text().splitlines()
    edit(repository / "fineline/half.py", "// 2", "// 3")
    assert stage_digests.main(["accept", "train"]) == 0
    assert sum(one != other for one, other in zip(before, record.read_text().splitlines(), strict=True)) == 1
    assert check(capsys) == (0, "")


def test_a_raised_version_needs_a_reason_a_line_in_the_changelog_and_a_record(repository, capsys):
    versions, changelog = repository / stage_digests.VERSIONS, repository / stage_digests.CHANGELOG
    edit(repository / "fineline/half.py", "// 2", "// 3")
    versions.write_text(VERSIONS.format(version=2, reasons={}))
    code, error = check(capsys)
    assert (code, "REASONS['train'][2] is missing" in error) == (1, True)
    versions.write_text(VERSIONS.format(version=2, reasons={"train": {2: "rows are a third as long"}}))
    code, error = check(capsys)
    assert (code, 'the line "- `train` 2: rows are a third as long" is missing' in error) == (1, True)
    assert stage_digests.main(["accept", "train"]) == 1
    changelog.write_text("# Changelog\n\n- `train` 2: rows are a third as long\n")
    code, error = check(capsys)
    assert (code, "train has version 2 now; record it with `make accept STAGE=train`" in error) == (1, True)
    assert stage_digests.main(["accept", "train"]) == 0
    assert check(capsys) == (0, "")


def test_a_lowered_version_fails(repository, capsys):
    (repository / "fineline/project/versions.py").write_text(VERSIONS.format(version=0, reasons={}))
    code, error = check(capsys)
    assert code == 1
    assert "never lower a version" in error


def test_a_data_file_counts_and_its_comments_do_not(repository, capsys):
    (repository / "fineline/stages/rates.yaml").write_text("rate: 1\n")
    forget()
    stage_digests.main(["accept", "all"])
    (repository / "fineline/stages/rates.yaml").write_text("# Rates.\nrate: 1\n")
    forget()
    assert check(capsys) == (0, "")
    (repository / "fineline/stages/rates.yaml").write_text("rate: 2\n")
    forget()
    assert check(capsys)[0] == 1


def test_an_unknown_stage_is_answered_with_the_known_ones(repository, capsys):
    assert stage_digests.main(["accept", "trian"]) == 2
    assert "STAGE is one of: train" in capsys.readouterr().out
