"""Reports of garak and promptfoo as evidence."""

import json

import pytest

from fineline import artifacts, evidence
from fineline.errors import InputError
from fineline.evidence import cli, importing
from tests.evidence.conftest import DIGEST

SUBJECT = {"kind": "exported-model", "digest": DIGEST}
GARAK = [
    {"entry_type": "start_run setup", "plugins.target_type": "openai", "run.generations": 5},
    {"entry_type": "init", "garak_version": "0.17.0", "start_time": "2026-03-01T10:00:00.123456", "run": "5b1f"},
    {"entry_type": "attempt", "uuid": "9c0e", "status": 2, "probe_classname": "dan.Dan_11_0", "outputs": ["a\u2028b"]},
    {"entry_type": "eval", "probe": "dan.Dan_11_0", "detector": "dan.DAN", "passed": 198, "fails": 2, "nones": 0,
     "total_evaluated": 200, "total_processed": 200},
    {"entry_type": "eval", "probe": "encoding.InjectBase64", "detector": "encoding.DecodeMatch", "passed": 100, "fails": 0,
     "nones": 0, "total_evaluated": 100, "total_processed": 100},
    {"entry_type": "probe_summary", "probe": "encoding.InjectBase64"},
    {"entry_type": "completion", "end_time": "2026-03-01T10:20:00.000000", "run": "5b1f"},
]  # fmt: skip
PROMPTFOO = {
    "evalId": "eval-abc-2026-03-01T10:00:00",
    "results": {
        "version": 3,
        "timestamp": "2026-03-01T10:00:00.000Z",
        "prompts": [],
        "results": [],
        "stats": {"successes": 95, "failures": 5, "errors": 0, "tokenUsage": {"total": 17}},
    },
    "config": {"description": "support desk"},
    "shareableUrl": None,
    "metadata": {"promptfooVersion": "0.123.1", "platform": "linux"},
}


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def with_eval(**changes):
    return [row | changes if row.get("probe") == "dan.Dan_11_0" and row["entry_type"] == "eval" else row for row in GARAK]


def test_garak_passes_if_every_share_is_significantly_above_the_minimum():
    found = importing.garak(lines(GARAK), 0.95)
    assert found["tool"] == {"name": "garak", "version": "0.17.0"}
    assert found["suite"]["name"] == "probes dan, encoding"
    assert found["measures"]["dan.Dan_11_0/dan.DAN"] == {
        "value": 0.99,
        "higher_is_better": True,
        "items": 200,
        "lower": pytest.approx(0.9702, abs=1e-4),  # Wilson's interval of 198 in 200, z = 1.645
        "upper": pytest.approx(0.9967, abs=1e-4),
    }
    assert (found["verdict"], found["reason"]) == ("pass", "all 2 shares at least 95.0% (95% confidence).")


@pytest.mark.parametrize(
    ("rows", "minimum", "verdict", "reason"),
    [
        (with_eval(passed=20, fails=180), 0.95, "fail", "dan.Dan_11_0/dan.DAN below 95.0% (95% confidence)."),
        (with_eval(passed=192, fails=8), 0.95, "inconclusive", "dan.Dan_11_0/dan.DAN not shown to be at least 95.0%."),
        (with_eval(passed=0, fails=0, total_evaluated=0, nones=200), 0.95, "inconclusive", "200 outputs could not be judged"),
        (with_eval(nones=1), 0.95, "inconclusive", "1 outputs could not be judged"),
        (GARAK[:-1], 0.95, "inconclusive", "the run did not finish"),
        (with_eval(passed=20, fails=180)[:-1], 0.95, "fail", "below 95.0% (95% confidence); the run did not finish."),
    ],
)
def test_garak_never_passes_on_what_was_not_shown(rows, minimum, verdict, reason):
    found = importing.garak(lines(rows), minimum)
    assert found["verdict"] == verdict
    assert reason in found["reason"]


def test_older_reports_of_garak_name_the_number_total():
    older = [{key: value for key, value in row.items() if not key.startswith("total_")} for row in GARAK]
    older = [row | {"total": 200 if "dan" in row["probe"] else 100} if row["entry_type"] == "eval" else row for row in older]
    assert importing.garak(lines(older), 0.95) == importing.garak(lines(GARAK), 0.95)


def test_promptfoo_counts_its_tests():
    found = importing.promptfoo(json.dumps(PROMPTFOO), 0.8)
    assert found["tool"] == {"name": "promptfoo", "version": "0.123.1"}
    assert found["suite"] == {"name": "support desk"}
    assert (found["measures"]["tests"]["value"], found["measures"]["tests"]["items"]) == (0.95, 100)
    assert found["verdict"] == "pass"
    assert importing.promptfoo(json.dumps(PROMPTFOO), 0.95)["verdict"] == "inconclusive"
    assert importing.promptfoo(json.dumps(PROMPTFOO), 0.995)["verdict"] == "fail"


def test_a_test_that_could_not_run_is_not_a_success():
    stats = PROMPTFOO["results"]["stats"] | {"errors": 3}
    found = importing.promptfoo(json.dumps(PROMPTFOO | {"results": PROMPTFOO["results"] | {"stats": stats}}), 0.8)
    assert (found["verdict"], found["reason"]) == ("inconclusive", "3 tests could not be run.")


def test_a_report_in_the_directory_is_stamped_and_listed(directory):
    report = directory / "raw" / "run.report.jsonl"
    report.write_text(lines(GARAK), encoding="utf-8")
    file = importing.import_report("garak", report, directory=directory, subject=SUBJECT, by="Ada", minimum=0.9)
    made = evidence.read(file)
    assert (file.name, made.verdict, made.files[0].path) == ("garak.json", "pass", "raw/run.report.jsonl")
    report.write_text("")
    with pytest.raises(InputError, match="was stamped"):
        evidence.read(file)


def test_a_report_elsewhere_is_not_listed(directory, tmp_path):
    report = tmp_path / "results.json"
    report.write_text(json.dumps(PROMPTFOO))
    file = importing.import_report(
        "promptfoo", report, directory=directory, subject=SUBJECT, by="Ada", minimum=0.5, name="desk"
    )
    assert (file.name, evidence.read(file).files) == ("desk.json", [])


@pytest.mark.parametrize(
    ("tool", "content", "problem"),
    [
        ("garak", lines(GARAK[2:]), "one garak version is needed, found none"),
        ("garak", lines([*GARAK, GARAK[1] | {"garak_version": "0.16.0"}]), "found 0.16.0, 0.17.0"),
        ("garak", lines(GARAK[:3]), "no `eval` entry"),
        ("garak", lines([*GARAK, GARAK[3]]), "duplicate entry dan.Dan_11_0/dan.DAN"),
        ("garak", lines(with_eval(passed=201)), "201 of 200 passed"),
        ("garak", "{}\n", "'entry_type' is missing"),
        ("garak", "[1]\n", "not a report of garak"),
        ("garak", "{", "not a report of garak"),
        ("promptfoo", "[]", "not a report of promptfoo"),
        ("promptfoo", '{"results": {"version": 3}}', "'stats' is missing"),
        ("promptfoo", '{"results": {"version": 3, "stats": {"successes": 0, "failures": 0}}}', "no output was judged"),
        ("promptfoo", '{"results": {"version": 3, "stats": {"successes": "9", "failures": 0}}}', "not a report of promptfoo"),
    ],
)
def test_other_formats_are_refused(directory, tmp_path, tool, content, problem):
    report = tmp_path / "report"
    report.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        importing.import_report(tool, report, directory=directory, subject=SUBJECT, by="Ada", minimum=0.9)
    assert str(report) in str(caught.value)
    assert problem in str(caught.value)
    assert not list(directory.glob("*.json"))


@pytest.mark.parametrize(
    ("variant", "place", "kind"),
    [
        ("adapter", "models/adapters/support", "adapter"),
        ("merged", "models/merged/support", "merged-model"),
        ("exported", "models/export/support/quantized", "exported-model"),
    ],
)
def test_the_subject_is_what_the_adapter_is_now(tmp_path, monkeypatch, draft, variant, place, kind):
    monkeypatch.chdir(tmp_path)
    with artifacts.create(tmp_path / place, kind=kind, name="support", stage="train") as building:
        (building / "weights").write_text(variant)
    found = cli.subject_of("support", variant)
    assert found == {"kind": kind, "digest": artifacts.read(tmp_path / place).digest}
    evidence.stamp(draft | {"subject": found}, tmp_path / "evidence.json")  # the schema knows every kind
    with pytest.raises(InputError, match="accepted: adapter, merged, exported"):
        cli.subject_of("support", "onnx")
    with pytest.raises(InputError, match=r"artifact\.json: missing"):
        cli.subject_of("other", variant)


def test_wrong_arguments_are_input_errors(directory, tmp_path):
    arguments = {"directory": directory, "subject": SUBJECT, "by": "Ada"}
    with pytest.raises(InputError, match="accepted: garak, promptfoo"):
        importing.import_report("gark", tmp_path / "x", minimum=0.9, **arguments)
    with pytest.raises(InputError, match="minimum: found 90"):
        importing.import_report("garak", tmp_path / "x", minimum=90, **arguments)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        importing.import_report("garak", tmp_path / "x", minimum=0.9, **arguments)
