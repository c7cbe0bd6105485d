"""A session: from the answers of two arms, as the last evaluation of an adapter wrote them, to stamped evidence."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fineline import evidence
from fineline.artifacts import canonical, reports
from fineline.errors import FinelineError, InputError
from fineline.evidence.files import refuse_links
from fineline.evidence.schema import SCHEMA
from fineline.preference import choices
from fineline.preference.choices import Choice, ChoiceJournal
from fineline.preference.endpoint import Endpoint
from fineline.preference.verdict import PairResult, decide
from fineline.project import layout

NAME = "preference"
CANDIDATE = "candidate"  # the adapter's arm in an evaluation
GENERATION = "target_generation"  # the evaluation's name for the task that the adapter was trained for
_ASKED = ("task", "item", "item_hash", "prompt_hash", "target_hash")  # what two arms must have in common

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Answers:
    """Everything that a session reads, and the places it writes to."""

    against: str
    """`base` or `champion`."""
    candidate: Sequence[Record]
    reference: Sequence[Record]
    digests: Mapping[str, str]
    """Digests of `candidate` and `reference`."""
    evidence: Path
    """evidence/<adapter>."""
    journals: Path
    """Directory of the choices that judges have made so far."""


@dataclass(frozen=True)
class Settings:
    """The options of a session."""

    tasks: Sequence[str] = ()
    """Tasks whose answers are compared; if empty, the target task. Others must be named: probes contain text of training rows,
    and in some of them the better answer is the one that says less."""
    limit: int | None = None
    """Maximum number of pairs: first one of each cluster, in the order of their hashes."""
    margin: float | None = None
    """Test `not worse by this net share of pairs` instead of `preferred`."""
    confidence: float = 0.95
    max_tokens: int = 8
    """Of a reply. A judge that reasons before it answers needs more, but only a one-word reply counts."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"--limit: found {self.limit}; 1 or more is needed")
        if self.margin is not None and not 0 < self.margin < 1:
            raise InputError(f"--margin: found {self.margin:g}; a share between 0 and 1 is needed")
        if not 0.5 < self.confidence < 1:
            raise InputError(f"--confidence: found {self.confidence:g}; a value between 0.5 and 1 is needed")
        if self.max_tokens < 1:
            raise InputError(f"--max-tokens: found {self.max_tokens}; 1 or more is needed")


def read_answers(name: str, against: str) -> Answers:
    """Read the answers of adapter `name` and of its base or champion from the last `evaluate@<name>`.

    Raises:
        InputError: `against` is unknown, or there is no evaluation or no champion.
    """
    if against not in ("base", "champion"):
        raise InputError(f"--against: found {against!r}; accepted: base, champion")
    report = layout.reports(name)
    arms = reports.read(report / "gate.json").get("arms", {})
    if against not in arms or CANDIDATE not in arms:
        remedy = (
            f"set `adapters.{name}.evaluate.champion`, or pass --against base"
            if "base" in arms
            else f"run `dvc repro evaluate@{name}`"
        )
        raise InputError(f"{report}/gate.json: no {against} was evaluated; {remedy}")
    samples = report / "evaluation" / "samples"
    candidate, reference = (reports.read_lines(samples / f"{arm}.jsonl") for arm in (CANDIDATE, against))
    digests = {"candidate": arms[CANDIDATE]["digest"], "reference": arms[against]["digest"]}
    return Answers(against, candidate, reference, digests, layout.evidence(name), layout.SCRATCH / "preference")


def prefer(answers: Answers, endpoint: Endpoint, settings: Settings) -> evidence.Evidence:
    """Let the judge compare two arms and write evidence/<adapter>/preference.json.

    Choices are stored as they arrive, so an interrupted session resumes where it stopped.

    Raises:
        InputError: The arms were not asked the same items, the result could not be written, or the endpoint refuses.
        FinelineError: The endpoint cannot be reached or does not speak the protocol.
    """
    file = answers.evidence / f"{NAME}.json"
    refuse_links(file)
    chosen = pairs(answers.candidate, answers.reference, settings)
    print(f"{len(chosen)} pairs, {endpoint.model} at {endpoint.url}", flush=True)
    results = list(judge(chosen, endpoint, settings.max_tokens, answers.journals))

    decision = decide(results, against=answers.against, confidence=settings.confidence, margin=settings.margin)
    written = file.with_name(f".{NAME}.jsonl")
    reports.write_lines(written, [_entry(result) for result in results])
    written.replace(file.with_suffix(".jsonl"))
    questions = [[one[key] for key in _ASKED] for one, _ in chosen]
    tasks = ", ".join(dict.fromkeys(one["task"] for one, _ in chosen))
    draft = {
        "schema": SCHEMA,
        "tool": {
            "name": "fineline preference",
            "version": version("fineline"),
            "judge": {"model": endpoint.model, "prompt": choices.PROMPT_DIGEST},
        },
        "subject": {"kind": "adapter", "digest": answers.digests["candidate"]},
        "against": {"kind": "base" if answers.against == "base" else "adapter", "digest": answers.digests["reference"]},
        "suite": {"name": tasks[:1000], "digest": canonical.digest(questions)},
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "by": f"fineline preference, judge {endpoint.model}",
        "measures": decision.measures,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "files": [{"path": f"{NAME}.jsonl"}],
    }
    return evidence.write(draft, file)


def pairs(candidate: Sequence[Record], reference: Sequence[Record], settings: Settings) -> list[tuple[Record, Record]]:
    """Return (candidate's record, reference's record) of the items to compare, in the order of the records.

    Raises:
        InputError: No task has generated answers, a task is unknown, or the arms were not asked the same items.
    """
    arms = [
        [record for record in arm if isinstance(record.get("answer"), str) and record.get("question")]
        for arm in (candidate, reference)
    ]
    known = list(dict.fromkeys(record["task"] for record in arms[0]))
    for task in settings.tasks:
        if task not in known:
            raise InputError(f"--task: {task!r} has no questions with generated answers; accepted: {', '.join(known)}")
    chosen = settings.tasks or (GENERATION,)
    arms = [[record for record in arm if record["task"] in chosen] for arm in arms]
    if not arms[0]:
        others = f"; name one with --task: {', '.join(known)}" if known else ""
        raise InputError(f"nothing to compare: {' or '.join(chosen)} has no questions with generated answers{others}")
    asked = [[tuple(record.get(key) for key in _ASKED) for record in arm] for arm in arms]
    if asked[0] != asked[1]:
        raise InputError("the two models were not asked the same items; run `dvc repro evaluate@ADAPTER` first")
    found = list(zip(*arms, strict=True))
    if settings.limit is None or settings.limit >= len(found):
        return found
    before: Counter[tuple[str, str]] = Counter()
    ranked = []
    for index in sorted(range(len(found)), key=lambda index: (found[index][0]["item_hash"], index)):
        cluster = found[index][0]["task"], str(found[index][0]["cluster"])
        ranked.append((before[cluster], index))
        before[cluster] += 1
    ranked.sort(key=lambda entry: entry[0])  # stable: in the order of hashes within each round
    return [found[index] for index in sorted(index for _, index in ranked[: settings.limit])]


def judge(chosen: Sequence[tuple[Record, Record]], endpoint: Endpoint, max_tokens: int, journals: Path) -> Iterator[PairResult]:
    """Show each pair to the judge in both orders; equal answers are not sent.

    Raises:
        InputError, FinelineError: As `Endpoint.complete`; choices made before are kept.
    """
    journal = ChoiceJournal(journals, endpoint.url, endpoint.model, max_tokens)

    def ask(question: str, first: str, second: str) -> Choice | None:
        messages = choices.messages(question, first, second)
        asked = canonical.digest(messages)
        if asked not in journal:
            journal.add(asked, choices.read_choice(endpoint.complete(messages, max_tokens)))
        return journal[asked]

    for number, (one, other) in enumerate(chosen, 1):
        item = one["task"], one["item"], one["item_hash"], str(one["cluster"])
        if one["answer"] == other["answer"]:
            yield PairResult(*item, equal=True)
        else:
            orders = (one["answer"], other["answer"]), (other["answer"], one["answer"])
            try:
                yield PairResult(*item, False, *(ask(one["question"], *order) for order in orders))
            except FinelineError as error:
                raise type(error)(f"{one['task']}, item {one['item']}: {error}") from None
        if number % 50 == 0 and number < len(chosen):
            print(f"{number} of {len(chosen)} pairs", flush=True)


def _entry(result: PairResult) -> dict[str, Any]:
    """Return a line of preference.jsonl: item and choices, no text."""
    orders = {"candidate_first": result.candidate_first, "reference_first": result.reference_first}
    outcome = "unreadable" if result.unreadable else {1: "candidate", -1: "reference", 0: "tie"}[result.preference]
    item = {"task": result.task, "item": result.item, "item_hash": result.item_hash}
    return {**item, "equal": result.equal, **orders, "outcome": outcome}
