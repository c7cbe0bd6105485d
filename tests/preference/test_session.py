"""A session with a judge, from the answers of two models to stamped evidence."""

import json

import pytest

from fineline import evidence
from fineline.errors import InputError
from fineline.preference import choices, endpoint, session
from fineline.preference.session import Settings
from tests.preference.conftest import (
    BASE,
    CANDIDATE,
    CHAMPION,
    connected,
    judging,
    prefer,
    prefers_longer,
    record,
    shown,
    texts_below,
)


def test_a_judge_that_prefers_longer_answers_prefers_the_candidate(project, tmp_path):
    with judging(prefers_longer) as (url, seen):
        made = prefer("support", connected(url)[0], Settings())
    assert made == evidence.read(tmp_path / "evidence" / "support" / "preference.json")
    assert (made.verdict, made.measures["wins"].value, made.measures["ties"].value) == ("pass", 12, 0)
    assert made.measures["p_better"].value == pytest.approx(2**-12)
    assert made.measures["win_rate"].lower == pytest.approx(12 / (12 + 1.644854**2))  # Wilson's bound of 12 in 12
    assert (made.subject.digest, made.against.digest, made.tool.judge.model) == (CANDIDATE, BASE, "judge-1")
    assert made.tool.judge.prompt == choices.PROMPT_DIGEST
    (judgment,) = evidence.collect(tmp_path / "evidence" / "support", {"adapter": CANDIDATE}, [BASE])
    assert (judgment.name, judgment.verdict, judgment.subject) == ("preference", "pass", "adapter")
    assert {call["path"] for call in seen} == {"/v1/chat/completions"}
    sent = seen[0]["body"]
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("judge-1", 0, 8)


def test_each_pair_is_shown_in_both_orders(project):
    with judging(prefers_longer) as (url, seen):
        prefer("support", connected(url)[0], Settings())
    assert len(seen) == 24
    assert all(shown(one["body"]) == shown(other["body"])[::-1] for one, other in zip(seen[::2], seen[1::2], strict=True))


@pytest.mark.parametrize("word", ["FIRST", "SECOND"])
@pytest.mark.parametrize("margin", [None, 0.2])
def test_a_judge_that_chooses_by_position_is_inconclusive(project, word, margin):
    with judging(lambda *_: word) as (url, _):
        made = prefer("support", connected(url)[0], Settings(margin=margin))
    assert made.verdict == "inconclusive"
    assert (made.measures["wins"].value, made.measures["losses"].value, made.measures["ties"].value) == (0, 0, 12)
    assert made.measures["position_bias"].value == 1
    assert "win_rate" not in made.measures


def test_the_file_of_choices_contains_no_text(project, tmp_path):
    with judging(prefers_longer) as (url, _):
        prefer("support", connected(url)[0], Settings())
    content = (tmp_path / "evidence" / "support" / "preference.jsonl").read_text()
    assert json.loads(content.splitlines()[0]) == {
        "task": "target_generation",
        "item": 0,
        "item_hash": record(0, "")["item_hash"],
        "equal": False,
        "candidate_first": "first",
        "reference_first": "second",
        "outcome": "candidate",
    }
    made = {file: text for file, text in texts_below(tmp_path).items() if "reports" not in file.parts}
    assert len(made) == 3  # the evidence, its choices, the journal
    assert not [file for file, text in made.items() if "long answer" in text or "How is item" in text]


def test_equal_answers_are_ties_without_a_call(project):
    same = [record(item, "the same") for item in range(30)]
    project(candidate=same, base=same)
    with judging(prefers_longer) as (url, seen):
        made = prefer("support", connected(url)[0], Settings())
        assert (made.verdict, made.measures["equal_answers"].value, seen) == ("inconclusive", 30, [])
        assert prefer("support", connected(url)[0], Settings(margin=0.1)).verdict == "pass"


def test_replies_that_are_not_a_choice_are_counted_and_not_guessed(project):
    with judging(lambda body, number: "I cannot say" if number <= 2 else prefers_longer(body)) as (url, _):
        made = prefer("support", connected(url)[0], Settings())
    assert (made.measures["unreadable"].value, made.measures["wins"].value, made.measures["pairs"].value) == (1, 11, 12)
    assert made.verdict == "pass"


def test_a_judge_with_many_unreadable_replies_is_inconclusive(project):
    with judging(lambda body, number: "Hm" if number % 4 == 1 else prefers_longer(body)) as (url, _):
        made = prefer("support", connected(url)[0], Settings())
    assert (made.verdict, made.reason) == (
        "inconclusive",
        "6 of 12 pairs got a reply that is not a choice, so this judge is not reliable.",
    )


def test_a_resumed_session_does_not_ask_again(project, tmp_path):
    broken = []

    def reply(body, number):
        return (400, {}, b"out of credit") if broken and number > broken[0] else prefers_longer(body)

    with judging(reply) as (url, seen):
        broken.append(7)
        with pytest.raises(InputError, match="out of credit"):
            prefer("support", connected(url)[0], Settings())
        assert len(seen) == 8
        assert not (tmp_path / "evidence").exists()  # an unfinished session is not evidence
        (journal,) = (tmp_path / ".fineline" / "preference").iterdir()
        with journal.open("a") as stream:
            stream.write('{"asked": "torn')  # killed during a write
        broken.clear()
        made = prefer("support", connected(url)[0], Settings())
        assert (len(seen), made.measures["wins"].value) == (8 + 24 - 7, 12)
        assert prefer("support", connected(url)[0], Settings()).measures == made.measures
        assert len(seen) == 25
        prefer("support", endpoint.connect(url, "judge-2"), Settings())
        assert len(seen) == 49  # another judge has a separate journal


def test_a_broken_journal_is_an_input_error(project, tmp_path):
    with judging(prefers_longer) as (url, _):
        prefer("support", connected(url)[0], Settings(limit=1))
        (journal,) = (tmp_path / ".fineline" / "preference").iterdir()
        journal.write_text('{"asked": "x", "choice": "maybe"}\n')
        with pytest.raises(InputError, match=r"\.jsonl:1: broken \(not a choice of the judge\); remove the file"):
            prefer("support", connected(url)[0], Settings(limit=1))


def test_a_limited_sample_is_reproducible_and_covers_every_cluster_first():
    ours = [record(item, f"a {item}", cluster=f"c{item % 5}") for item in range(50)]
    theirs = [one | {"answer": "b"} for one in ours]

    def chosen(limit, turn=1):
        return [one["item"] for one, _ in session.pairs(ours[::turn], theirs[::turn], Settings(limit=limit))]

    assert {item % 5 for item in chosen(5)} == set(range(5))
    assert chosen(5) == chosen(5)
    assert set(chosen(5)) < set(chosen(20))
    assert chosen(20) == sorted(chosen(20)) != list(range(20))
    assert set(chosen(20, turn=-1)) == set(chosen(20))
    assert len(chosen(500)) == 50


def test_only_generated_answers_are_compared_and_tasks_can_be_named():
    likelihoods = [record(item, [[-1.0, True]], task="mmlu") for item in range(3)]
    silent = [record(item, "x", task="silent", question="") for item in range(3)]
    texts = [record(item, "x", task=task) for task in ("one", "two") for item in range(3)]
    both = Settings(tasks=["one", "two"])
    found = session.pairs(likelihoods + silent + texts, likelihoods + silent + texts, both)
    assert [one["task"] for one, _ in found] == ["one"] * 3 + ["two"] * 3
    assert len(session.pairs(likelihoods + texts, texts + likelihoods, Settings(tasks=["two"]))) == 3
    with pytest.raises(InputError, match=r"--task: 'mmlu' has no questions with generated answers; accepted: one, two"):
        session.pairs(likelihoods + texts, likelihoods + texts, Settings(tasks=["mmlu"]))
    with pytest.raises(InputError, match="nothing to compare"):
        session.pairs(likelihoods, likelihoods, Settings())
    with pytest.raises(InputError, match=r"nothing to compare: .*; name one with --task: one, two"):
        session.pairs(texts, texts, Settings())


def test_probes_are_sent_only_if_they_are_named():
    probed = [record(item, "x", task=task) for task in ("target_generation", "safety_regurgitation") for item in range(3)]
    assert {one["task"] for one, _ in session.pairs(probed, probed, Settings())} == {"target_generation"}


@pytest.mark.parametrize("change", [{"item_hash": "x"}, {"prompt_hash": "x"}, {"target_hash": "x"}, {"item": 7}])
def test_arms_that_were_asked_different_items_are_refused(change):
    ours = [record(item, "a") for item in range(3)]
    with pytest.raises(InputError, match="not asked the same items; run `dvc repro evaluate"):
        session.pairs(ours, [*ours[:2], ours[2] | change], Settings())
    with pytest.raises(InputError, match="not asked the same items"):
        session.pairs(ours, ours[:2], Settings())


def test_the_candidate_can_be_compared_with_the_champion(project):
    ours = [record(item, "a long answer") for item in range(8)]
    theirs = [record(item, "brief") for item in range(8)]
    with judging(prefers_longer) as (url, _):
        with pytest.raises(InputError, match=r"no champion was evaluated; set `adapters\.support\.evaluate\.champion`"):
            prefer("support", connected(url)[0], Settings(), against="champion")
        project(candidate=ours, base=ours, champion=theirs)
        made = prefer("support", connected(url)[0], Settings(), against="champion")
    assert (made.against.kind, made.against.digest) == ("adapter", CHAMPION)
    assert made.reason.startswith("preferred to the champion in 8 of 8 pairs")


def test_a_session_needs_an_evaluation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"gate\.json: missing; run `dvc repro`"):
        prefer("support", endpoint.connect("http://127.0.0.1:9", "m"), Settings())
    with pytest.raises(InputError, match="--against: found 'last'; accepted: base, champion"):
        prefer("support", endpoint.connect("http://127.0.0.1:9", "m"), Settings(), against="last")


def test_nothing_is_sent_if_the_result_could_not_be_written(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "support").symlink_to(tmp_path / "elsewhere")
    with judging(prefers_longer) as (url, seen), pytest.raises(InputError, match="symbolic link"):
        prefer("support", connected(url)[0], Settings())
    assert seen == []


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"margin": 0}, {"margin": 1}, {"confidence": 0.5}, {"max_tokens": 0}])
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(InputError, match=f"--{next(iter(wrong)).replace('_', '-')}: found"):
        Settings(**wrong)
