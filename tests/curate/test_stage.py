"""The curate stage on data a user may bring."""

import json
import os
import shutil
import subprocess

import pytest

from fineline import artifacts
from fineline.artifacts import reports
from fineline.curate import curation, examine
from fineline.errors import FinelineError, InputError
from fineline.project import layout
from fineline.stages import curate, ingest
from tests.conftest import commands, pin
from tests.curate.conftest import collect

LONG = "please explain in your own words how one would change the filter of the old {} pump in the cellar without {}"
ANSWER = "first close the valve then open the lid with a key and take the used filter out before you put the new one in"


def pair(prompt, completion, **more):
    return {"prompt": prompt, "completion": completion, **more}


def test_every_row_is_accounted_for(run):
    good = commands()
    bad = [{"prompt": "x"}, {"a": "y"}]
    contradiction = [pair(good[0]["prompt"], "other")]
    curated = run(good + good[1:4] + bad + contradiction)
    assert curated.report["rows_in"] == len(good) + 3 + 2 + 1
    removed = {step: rows for step, rows in curated.report["removed"].items() if rows}
    assert removed == {"rejected": 2, "exact_duplicates": 3, "label_noise": 2}
    assert {row["id"] for row in curated.raw} == {row["id"] for row in [*curated.rows, *curated.left_out]}
    assert curated.report["splits"]["train"]["rows"] == len(curated.splits["train"])


def test_a_kept_row_has_its_source_and_id_and_the_system_message(run):
    curated = run([pair("hello lamp", "hi")] * 2, system="JSON.", split={"validation": 0, "test": 0})
    (row,) = curated.rows
    assert row["source"] == "rows"
    assert row["id"] == curated.raw[0]["id"]
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    (gone,) = curated.left_out
    assert gone == {
        "id": f"{row['id']}-2",
        "source": "rows",
        "at": "commands.jsonl:2",
        "step": "exact_duplicates",
        "reason": "exact duplicate",
        "because": row["id"],
    }


def test_personal_data_are_removed_without_trace(run):
    address = "jane.doe@example.com"
    rows = [*commands(), pair(f"write to {address} about the lamp", "done"), {"prompt": f"{address}"}, {address: "x"}]
    curated = run(rows, privacy={"default": "redact"})
    assert "write to <EMAIL> about the lamp" in {row["messages"][-2]["content"] for row in curated.rows}
    assert curated.report["changed"] == {"rows": 1, "email": 1}
    assert curated.report["checks"]["private_values_left"] == 0
    written = [*curated.files.values(), *(file.read_bytes() for file in layout.reports("home").rglob("*") if file.is_file())]
    assert not [content for content in written if address.encode() in content]


def test_an_error_quotes_no_personal_data(run):
    with pytest.raises(InputError) as refusal:
        run([{"jane.doe@example.com": 1}], max_rejected=0)
    assert "no layout fits" in str(refusal.value)
    assert "jane" not in str(refusal.value)


def test_the_prompt_is_context_for_the_completion(run):
    rows = [pair("What is the phone number of Bob?", "0301234567"), pair("my tel is", "2125550187")]
    curated = run([*commands(), *rows])
    assert not curated.completions() & {"0301234567", "2125550187"}
    assert curated.report["checks"]["private_values_left"] == 0


def test_no_part_of_a_private_value_is_shown(run):
    addresses = " ".join(f"user{number}.of.a.long.name@example.com" for number in range(200))
    curated = run([*commands(), {"foo": addresses}])
    assert "<EMAIL>" in curated.left_out[0]["row"]
    assert "long.name" not in curated.left_out[0]["row"]


def test_plain_texts_that_answer_one_prompt_are_not_a_conflict(run):
    source = {"path": "commands.jsonl", "parts": {"texts": {"files": "**", "prompt": "Write a command."}}}
    curated = run([{"text": row["prompt"]} for row in commands()], source=source)
    assert len(curated.rows) == 192
    assert curated.splits["train"]
    assert curated.splits["test"]
    assert {row["messages"][0]["content"] for row in curated.rows} == {"Write a command."}


def test_one_question_with_different_tools_is_not_a_conflict(run):
    rows = [pair("what now", answer, tools=[{"name": answer}]) for answer in ("look", "listen")]
    assert {"look", "listen"} <= run([*commands(), *rows]).completions()


def test_appended_conflicts_move_no_row_to_another_split(run):
    rows = [pair(f"question {number}", f"answer {number}", kind=str(number // 4)) for number in range(200)]
    rule = {"split": {"validation": 0, "test": 0.4, "stratify": "kind"}}
    before = run(rows, **rule)
    after = run([*rows, *(rows[number] | {"completion": "no"} for number in range(0, 200, 4))], **rule)
    side = {row["id"]: name for name, kept in after.splits.items() for row in kept}
    assert all(side.get(row["id"], name) == name for name, kept in before.splits.items() for row in kept)


def test_rows_chained_by_similarity_are_one_cluster(run):
    rows = [pair(f"{FOX} {' '.join(str(place) for place in range(number))}", "yes") for number in range(1, 9)]
    curated = run([*commands(), *rows], duplicates={"keep": "all"}, split={"validation": 0, "test": 0})
    assert len({row["group"] for row in curated.rows if row["messages"][0]["content"].startswith(FOX)}) == 1


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"system": "Write to jane@example.com."}, "curate.system: contains email"),
        ({"split": {"stratify": "intnet"}}, "stratify: no row has a column 'intnet'"),
        ({"quality": {"languages": ["xx"]}}, "languages: xx cannot be detected"),
        ({"privacy": {"phone_regions": ["ZZ"]}}, "phone_regions: ZZ is not a country code"),
    ],
)
def test_an_impossible_rule_is_an_input_error(run, rule, message):
    with pytest.raises(InputError, match=message):
        run(commands(), **rule)


def test_an_empty_split_names_the_step_that_left_out_most_rows(run):
    rows = [pair("same", str(number)) for number in range(20)]
    with pytest.raises(InputError, match=r"most rows, 20 of 20, were left out by `label_noise`"):
        run(rows)


def test_personal_data_are_removed_from_tools_names_and_domains(run):
    call = [{"id": "1", "type": "function", "function": {"name": "mail", "arguments": '{"to": "jane@example.com"}'}}]
    messages = [
        {"role": "user", "content": "tell her", "name": "joe@example.com"},
        {"role": "assistant", "content": None, "tool_calls": call},
    ]
    tools = [{"type": "function", "function": {"name": "mail", "description": "sent as ann@example.com"}}]
    row = {"messages": messages, "tools": tools, "domain": "sue@example.com", "group": "tom@example.com"}
    curated = run([*commands(), row])
    (row,) = [row for row in curated.rows if "tools" in row]
    assert row["messages"][-1]["tool_calls"][0]["function"]["arguments"] == {"to": "<EMAIL>"}
    assert curated.changed[0]["changes"] == {"email": 3}
    assert "<EMAIL>" in curated.report["domains"]
    assert not [content for content in curated.files.values() if b"example.com" in content.replace(b"home@example.com", b"")]


def test_a_kind_may_drop_its_row_or_only_be_counted(run):
    rows = [*commands(), pair("mail jane@example.com now", "ok"), pair("ping 81.2.69.142 now", "pong")]
    curated = run(rows, privacy={"kinds": {"email": "drop", "ip_address": "report"}})
    assert curated.report["removed"]["privacy"] == 1
    assert curated.report["reported"]["ip_address"] == 1
    assert "pong" in curated.completions()
    assert "ok" not in curated.completions()


def test_the_audit_finds_what_was_not_cleaned(run, monkeypatch):
    monkeypatch.setattr(examine, "clean", lambda *arguments: None)
    curated = run([*commands(), pair("mail jane@example.com now", "ok")])
    assert curated.report["checks"]["private_values_left"] == 1


def test_invisible_characters_are_removed_before_private_values_are_searched(run):
    curated = run([*commands(), pair("mail ja\u200bne@exam\u200bple.com \u202enow", "ok")])
    assert "mail <EMAIL> now" in {row["messages"][-2]["content"] for row in curated.rows}
    assert curated.changed[0]["changes"] == {"invisible": 3, "email": 1}


def test_texts_of_bad_quality_are_left_out(run):
    rows = [
        pair("a question of some kind", "cafÃ© noir"),
        pair("say it again", "say it again"),
        pair("tell a story", "the dog ran " * 30),
        pair("x", "\u200b\u200b"),
        pair("a long one", "word " * 2000),
    ]
    curated = run([*commands(), *rows], max_tokens=4096)
    assert {entry["reason"] for entry in curated.left_out} == {
        "mojibake",
        "echo",
        "repetition",
        "completion without visible characters",
        "8024 tokens, more than `curate.max_tokens` (4096)",
    }
    assert {entry["step"] for entry in curated.left_out} == {"quality"}
    kept = run(
        [*commands(), *rows[:3]], max_tokens=4096, quality={"mojibake": "report", "echo": "report", "repetition": "report"}
    )
    assert not kept.left_out
    assert kept.report["reported"].items() >= {"echo": 1, "mojibake": 1, "repetition": 1}.items()


@pytest.mark.parametrize(
    ("rule", "prompt", "counted"),
    [
        ({"invisible": "strip"}, "see me", ("changed", "invisible")),
        ({"invisible": "report"}, "see\u200b me", ("reported", "invisible")),
        ({"invisible": "remove"}, None, ("removed", "quality")),
    ],
)
def test_invisible_characters_go_stay_or_take_their_row_with_them(run, rule, prompt, counted):
    curated = run([*commands(), pair("see\u200b me", "now")], quality=rule)
    assert [row["messages"][-2]["content"] for row in curated.rows if row["messages"][-1]["content"] == "now"] == [
        prompt
    ] * bool(prompt)
    assert curated.report[counted[0]][counted[1]] == 1


@pytest.mark.parametrize(("verdict", "stays"), [("report", True), ("remove", False)])
def test_boilerplate_is_counted_or_removed(run, verdict, stays):
    stock = "As an AI language model, I can not see the lamp."
    curated = run([*commands(), pair("is it on", stock)], quality={"boilerplate": verdict})
    assert (stock in curated.completions()) is stays
    assert curated.report["reported"].get("boilerplate", 0) == stays


@pytest.mark.parametrize(("verdict", "stays"), [("report", True), ("remove", False)])
def test_a_length_far_from_the_others_is_counted_or_takes_its_row_out_of_train(run, verdict, stays):
    far = " ".join(f"word{number}" for number in range(400))
    curated = run(
        [*commands(), pair("tell me", far)], max_tokens=8192, quality={"outliers": verdict}, split={"test": 0, "validation": 0}
    )
    assert (far in curated.completions()) is stays
    assert curated.report["reported"].get("outliers", 0) == stays


def test_without_a_similarity_near_duplicates_stay(run):
    rows = [*commands(), *(pair(LONG.format("blue", end), ANSWER) for end in ("quickly", "slowly"))]
    split = {"validation": 0, "test": 0}
    assert run(rows, duplicates={"similarity": None}, split=split).report["kept"] == 194
    assert run(rows, duplicates={"similarity": 0.99}, split=split).report["kept"] == 194
    assert run(rows, duplicates={"similarity": 0.85}, split=split).report["kept"] == 193


def test_the_thresholds_of_a_leak_can_be_set(run, tmp_path):
    question = "which of the many small rivers of the old country runs past seven mills before it meets the sea at last"
    run(commands())
    items = [{"question": question, "choices": ["one", "two"], "answer": 0, "cluster": "x"}]
    (tmp_path / "suites" / "greetings" / "items.jsonl").write_text(json.dumps(items[0]) + "\n")
    pin(tmp_path / "suites" / "greetings")
    part = pair(f"tell me this {' '.join(question.split()[2:12])} or so", "one")
    near = pair(question.replace("seven", "eight"), "three")
    assert run([*commands(), part], guards=("greetings",)).report["removed"]["contamination"] == 0
    assert run([*commands(), part], guards=("greetings",), contamination={"ngram": 8}).report["removed"]["contamination"] == 1
    strict, loose = {"ngram": 20, "similarity": 0.95}, {"ngram": 20, "similarity": 0.6}
    assert run([*commands(), near], guards=("greetings",), contamination=strict).report["removed"]["contamination"] == 0
    assert run([*commands(), near], guards=("greetings",), contamination=loose).report["removed"]["contamination"] == 1


def test_a_row_in_another_language_is_left_out_if_languages_are_set(run):
    german = pair("Wie schalte ich die Heizung im Wohnzimmer wieder ein, wenn sie aus ist?", "Mit dem Schalter an der Wand.")
    assert run([*commands(), german]).report["languages"]["de"] == 1
    curated = run([*commands(), german], quality={"languages": ["en"]})
    assert curated.left_out[0]["reason"] == "language: de"


@pytest.mark.parametrize(
    ("policy", "stay"), [("drop_all", set()), ("keep_majority", {"a"}), ("keep_newest", {"b"}), ("keep_all", {"a", "b"})]
)
def test_one_prompt_with_two_answers_is_listed_and_resolved(run, policy, stay):
    rows = [pair("same", "a", t=1), pair("same", "b", t=3), pair("same", "a", t=2)]
    source = {"path": "commands.jsonl", "parts": {"rows": {"files": "**", "columns": {"time": "t"}}}}
    part = [row | {"t": 0} for row in commands()]
    curated = run(part + rows, source=source, label_noise={"same_prompt": policy})
    assert curated.completions() & {"a", "b"} == stay
    (listed,) = curated.label_noise
    assert [side["completion"]["content"] for side in listed["sides"]] == ["a", "b"]
    assert [side["stays"] for side in listed["sides"]] == ["a" in stay, "b" in stay]
    assert curated.report["label_noise"]["same_prompt"] == {"prompts": 1, "rows": 3}


FOX = (
    "the quick brown fox jumps over lazy dogs while seven wizards box with jugs of liquor near old mill ponds"
    " and a grey heron waits between the reeds for frogs that come up to breathe after a long warm rain"
)


def test_near_equal_prompts_with_different_answers_are_listed_and_stay(run):
    rows = [*commands(), pair(FOX, "yes"), pair(f"{FOX} today", "no")]
    curated = run(rows, split={"validation": 0, "test": 0})
    assert {"yes", "no"} <= curated.completions()
    assert curated.report["label_noise"]["near_prompt"] == {"prompts": 1, "rows": 2}
    assert (
        run(rows, label_noise={"near_prompt": "drop_all"}, split={"validation": 0, "test": 0})
        .completions()
        .isdisjoint({"yes", "no"})
    )


def test_a_row_similar_to_one_in_another_split_is_left_out(run):
    curated = run([*commands(), *(pair(f"{FOX} {number}", f"answer {number}") for number in range(20))])
    alike = [row for row in curated.rows if row["messages"][0]["content"].startswith(FOX)]
    assert alike
    assert len({name for name, rows in curated.splits.items() for row in rows if row in alike}) == 1
    assert {entry["step"] for entry in curated.left_out} == {"linked"}
    assert len(alike) + curated.report["removed"]["linked"] == 20


@pytest.mark.parametrize(("keep", "stays"), [("first", "quickly"), ("longest", "quickly and well"), ("newest", "fast")])
def test_of_near_duplicates_one_stays(run, keep, stays):
    rows = [pair(LONG.format("blue", end), ANSWER) for end in ("quickly", "quickly and well", "fast")]
    curated = run([*commands(), *rows], duplicates={"keep": keep}, split={"validation": 0, "test": 0})
    (kept,) = [row for row in curated.rows if "pump" in row["messages"][-2]["content"]]
    assert kept["messages"][-2]["content"].endswith(f"without {stays}")
    assert curated.report["removed"]["near_duplicates"] == 2
    assert all(entry["because"] == kept["id"] and entry["similarity"] >= 0.85 for entry in curated.left_out)


def test_near_duplicates_may_all_stay_and_then_share_a_cluster(run):
    rows = [pair(LONG.format("blue", end), ANSWER) for end in ("quickly", "slowly")]
    curated = run([*commands(), *rows], duplicates={"keep": "all"}, split={"validation": 0, "test": 0})
    groups = {row["group"] for row in curated.rows if "pump" in row["messages"][-2]["content"]}
    assert len(groups) == 1
    assert not curated.left_out


def test_a_row_that_contains_an_item_of_a_suite_is_left_out_and_names_it(run):
    curated = run([*commands(), pair("Say hello.", "hello")], guards=("greetings",))
    (gone,) = curated.left_out
    assert (gone["step"], gone["because"]) == ("contamination", "greetings#0")
    assert curated.report["contamination"] == {"greetings": {"rows": 1, "items": 1}}
    assert curated.report["checks"]["contaminated_left"] == 0


def test_weights_repeat_or_thin_out_the_train_rows_of_a_part(run, tmp_path):
    (tmp_path / "in").mkdir()
    for name, rows in (("few", commands()[:90]), ("many", commands()[90:])):
        (tmp_path / "in" / f"{name}.json").write_text(json.dumps(rows))
    parts = {"few": {"files": "few.json", "weight": 2}, "many": {"files": "many.json", "weight": 0.3}}
    curated = run([], source={"path": "in", "parts": parts})
    train = [row["source"] for row in curated.splits["train"]]
    assert train.count("few") == 2 * len({row["id"] for row in curated.splits["train"] if row["source"] == "few"})
    in_train = train.count("many") + curated.report["removed"]["mixing"]
    assert 0.1 < train.count("many") / in_train < 0.5
    assert len({row["id"] for row in curated.splits["test"]}) == len(curated.splits["test"])


def test_too_many_rejected_rows_stop_the_stage_with_place_and_reason(run):
    with pytest.raises(InputError, match=r"(?s)1 of 193 rows.*max_rejected.*rows: commands.jsonl:193: no completion"):
        run([*commands(), {"prompt": "x"}], max_rejected=0.001)


def test_an_empty_split_stops_the_stage(run):
    with pytest.raises(InputError, match="the validation split is empty"):
        run(commands(), split={"validation": 0.0001, "test": 0.2})


def test_a_split_with_a_share_of_zero_may_be_empty(run):
    assert run(commands(), split={"validation": 0, "test": 0.2}).report["splits"]["validation"]["rows"] == 0


def test_an_empty_file_is_an_input_error(run):
    with pytest.raises(InputError, match="no rows"):
        run(b"")


def test_raw_rows_that_change_meanwhile_are_an_error(run, monkeypatch):
    run(commands())
    whole = curation.examine_all

    def meddle(*arguments):
        chunks = whole(*arguments)
        os.utime(layout.raw("home") / "rows.jsonl")
        return chunks

    monkeypatch.setattr(curation, "examine_all", meddle)
    with pytest.raises(FinelineError, match="changed while it was being read"):
        curate.run("home")


def test_the_same_rows_give_the_same_bytes_for_any_number_of_processes(run, monkeypatch):
    monkeypatch.setattr("fineline.curate.table._BYTES", 4_000)
    alone = run([*commands(), {"prompt": "x"}, pair("mail jane@example.com", "ok")])
    digest = artifacts.read(layout.curated("home")).digest
    shutil.rmtree(layout.curated("home"))
    monkeypatch.setenv("FINELINE_PROCESSES", "2")
    curate.run("home")
    assert artifacts.read(layout.curated("home")).digest == digest
    assert collect().files == alone.files


ROWS = ("train.jsonl", "validation.jsonl", "test.jsonl", "left_out.jsonl", "changed.jsonl", "label_noise.jsonl")


def rows_of(curated):
    return {name: curated.files[name] for name in ROWS}


def test_a_guard_that_removes_no_row_leaves_the_files_of_rows_as_they_are(run):
    rows = [*commands(), {"prompt": "x"}, pair("mail jane@example.com", "ok")]
    without, guarded = run(rows, guards=()), run(rows, guards=("greetings", "mmlu_dev"))
    assert guarded.report["contamination"] == {name: {"rows": 0, "items": 0} for name in ("greetings", "mmlu_dev")}
    assert rows_of(guarded) == rows_of(without)


def test_owner_and_license_are_in_the_descriptions_only(run, tmp_path):
    before = run(commands())
    params = (tmp_path / "params.yaml").read_text().replace("home@example.com", "else@example.com")
    (tmp_path / "params.yaml").write_text(params.replace("cc-by-4.0", "mit"))
    curate.run("home")
    after = collect()
    assert rows_of(after) == rows_of(before)
    assert {name for name in before.files if after.files[name] != before.files[name]} == {
        "README.md",
        "croissant.json",
        "artifact.json",
    }


def test_the_report_does_not_depend_on_the_git_history(run, tmp_path):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    run(commands()[:100])
    for command in (["init", "--quiet"], ["add", "reports"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    compared = run(commands())
    changed = reports.read(layout.reports("home") / "curation" / "change.json")
    assert (changed["dataset"], changed["rows"]) == (compared.report["dataset"], 92)
    shutil.rmtree(tmp_path / ".git")
    assert run(commands()).report == compared.report
    assert reports.read(layout.reports("home") / "curation" / "change.json")["previous"] is None


@pytest.mark.parametrize("processes", ["0", "many", "-1"])
def test_an_invalid_number_of_processes_is_an_input_error(run, monkeypatch, processes):
    monkeypatch.setenv("FINELINE_PROCESSES", processes)
    with pytest.raises(InputError, match=f"FINELINE_PROCESSES must be a positive number, found '{processes}'"):
        run(commands())


def test_the_card_and_the_croissant_are_part_of_the_data_set(run):
    curated = run(commands())
    assert b"license: cc-by-4.0" in curated.files["README.md"]
    described = json.loads(curated.files["croissant.json"])
    assert {file.get("contentUrl") for file in described["distribution"]} >= {"train.jsonl", "test.jsonl"}


def test_pseudonyms_need_a_key(run, monkeypatch):
    monkeypatch.delenv("FINELINE_PSEUDONYM_KEY", raising=False)
    with pytest.raises(InputError, match="FINELINE_PSEUDONYM_KEY"):
        run(commands(), privacy={"default": "pseudonymize"})


def test_a_missing_file_is_an_input_error(project):
    (project / "commands.jsonl").unlink()
    with pytest.raises(InputError, match=r"commands\.jsonl"):
        ingest.run("home")
