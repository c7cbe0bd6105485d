"""The curate stage on data a user may bring."""

import pytest

from pipelines import ingest, layout, reports
from pipelines.curate import __main__ as curate
from pipelines.errors import InputError
from tests.conftest import commands, small_params, write_lines, write_project


@pytest.fixture
def run(tmp_path, tiny_base, monkeypatch):
    """Curate given raw bytes or rows, with changes to the curate block."""

    def curated(data, **changes):
        content = small_params(tiny_base)
        content["adapters"]["home"]["curate"].update(changes)
        write_project(tmp_path, content)
        monkeypatch.chdir(tmp_path)
        if isinstance(data, bytes):
            (tmp_path / "commands.jsonl").write_bytes(data)
        else:
            write_lines(tmp_path / "commands.jsonl", data)
        ingest.run("home")
        curate.run("home")
        return reports.read(layout.reports("home") / "curation.json")

    return curated


def test_every_row_is_accounted_for(run):
    good = commands()
    bad = [{"prompt": "x"}, {"text": "y"}]
    contradiction = [{"prompt": good[0]["prompt"], "completion": "other"}]
    report = run(good + good[1:4] + bad + contradiction, max_rejected=0.1)
    assert report["rows_in"] == len(good) + 3 + 2 + 1
    assert report["rejected"] == 2
    assert report["duplicates"] == 3
    assert report["conflicting"] == 2
    assert report["kept"] + report["rejected"] + report["duplicates"] + report["conflicting"] == report["rows_in"]
    assert sum(split["rows"] for split in report["splits"].values()) == report["kept"]
    assert [row["line"] for row in reports.read_lines(layout.curated("home") / "rejected.jsonl")] == [196, 197]


def test_too_many_rejected_rows_stop_the_stage_with_file_line_and_reason(run):
    with pytest.raises(InputError, match=r"(?s)1 of 193 rows.*max_rejected.*data/raw/home/rows.jsonl:193: no completion"):
        run([*commands(), {"prompt": "x"}], max_rejected=0.001)


def test_an_empty_split_stops_the_stage(run):
    with pytest.raises(InputError, match="the validation split is empty"):
        run(commands(), split={"validation": 0.0001, "test": 0.2})


def test_a_split_that_is_not_wanted_may_be_empty(run):
    assert run(commands(), split={"validation": 0, "test": 0.2})["splits"]["validation"]["rows"] == 0


def test_an_empty_file_is_an_input_error(run):
    with pytest.raises(InputError, match="not one row"):
        run(b"")


def test_a_missing_file_is_an_input_error(project):
    (project / "commands.jsonl").unlink()
    with pytest.raises(InputError, match=r"commands\.jsonl: cannot be read \(No such file"):
        ingest.run("home")
