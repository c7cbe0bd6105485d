"""A session: from the answers of two models to stamped evidence."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from fineline import evidence
from fineline.artifacts import canonical, reports
from fineline.errors import FinelineError, InputError
from fineline.evidence.schema import SCHEMA
from fineline.evidence.stamping import refuse_links
from fineline.preference import prompt
from fineline.preference.endpoint import Endpoint
from fineline.preference.journal import Journal
from fineline.preference.prompt import Choice
from fineline.preference.tally import Judgement, tally
from fineline.project import layout

NAME = "preference"
CANDIDATE = "candidate"  # as the evaluation names the adapter's arm
GENERATION = "target_generation"  # as it calls the task that the adapter is for
_ASKED = ("task", "item", "item_hash", "prompt_hash", "target_hash")  # what two arms must have in common


@dataclass(frozen=True)
class Settings:
    """What a session may decide for itself."""

    tasks: Sequence[str] = ()
    """Tasks whose answers are compared; if empty, what the adapter is for. Others are to be named: probes hold text of training
    rows, and in some of them the better answer is the one that says less."""
    limit: int | None = None
    """At most so many pairs: first one of each cluster, in the order of their hashes."""
    margin: float | None = None
    """Judge `not worse by this net share of pairs` instead of `better`."""
    confidence: float = 0.95
    max_tokens: int = 8
    """Of a reply; a judge that reasons aloud needs more, and its last word alone is no choice."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"--limit: found {self.limit}; 1 or more is needed")
        if self.margin is not None and not 0 < self.margin < 1:
            raise InputError(f"--margin: found {self.margin:g}; a share between 0 and 1 is needed")
        if not 0.5 < self.confidence < 1:
            raise InputError(f"--confidence: found {self.confidence:g}; a value between 0.5 and 1 is needed")
        if self.max_tokens < 1:
            raise InputError(f"--max-tokens: found {self.max_tokens}; 1 or more is needed")


def prefer(name: str, endpoint: Endpoint, settings: Settings, *, against: str = "base") -> evidence.Evidence:
    """Let the judge compare adapter `name` with its base or champion: evidence/<name>/preference.json.

    The answers are those of the last `evaluate@<name>`. What the judge chose is kept as it comes, so a session that was
    interrupted goes on where it stopped.

    Args:
        against: `base` or `champion`.

    Raises:
        InputError: There is no evaluation or no champion, the arms were not asked the same, or the endpoint refuses.
        FinelineError: The endpoint cannot be reached or does not speak the protocol.
    """
    if against not in ("base", "champion"):
        raise InputError(f"--against: found {against!r}; accepted: base, champion")
    report = layout.reports(name)
    arms = reports.read(report / "gate.json").get("arms", {})
    if against not in arms or CANDIDATE not in arms:
        remedy = f"set `adapters.{name}.evaluate.champion`, or give --against base" if "base" in arms else "evaluate it first"
        raise InputError(f"{report}/gate.json: no {against} was evaluated; {remedy}")
    file = evidence.directory(name) / f"{NAME}.json"
    refuse_links(file)
    samples = report / "evaluation" / "samples"
    candidate, reference = (reports.read_lines(samples / f"{arm}.jsonl") for arm in (CANDIDATE, against))
    chosen = pairs(candidate, reference, settings)
    print(f"{len(chosen)} pairs, {endpoint.model} at {endpoint.url}", flush=True)
    judgements = list(judge(chosen, endpoint, settings.max_tokens))

    result = tally(judgements, against=against, confidence=settings.confidence, margin=settings.margin)
    written = file.with_name(f".{NAME}.jsonl")
    reports.write_lines(written, [_told(judgement) for judgement in judgements])
    written.replace(file.with_suffix(".jsonl"))
    questions = [[one[key] for key in _ASKED] for one, _ in chosen]
    tasks = ", ".join(dict.fromkeys(one["task"] for one, _ in chosen))
    draft = {
        "schema": SCHEMA,
        "tool": {
            "name": "fineline preference",
            "version": version("fineline"),
            "judge": {"model": endpoint.model, "prompt": prompt.DIGEST},
        },
        "subject": {"kind": "adapter", "digest": arms[CANDIDATE]["digest"]},
        "against": {"kind": "base" if against == "base" else "adapter", "digest": arms[against]["digest"]},
        "suite": {"name": tasks[:1000], "digest": canonical.digest(questions)},
        "made": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "by": f"fineline preference, judge {endpoint.model}",
        "measures": result.measures,
        "verdict": result.verdict,
        "reason": result.reason,
        "files": [{"path": f"{NAME}.jsonl"}],
    }
    return evidence.write(draft, file)


def pairs(
    candidate: Sequence[Mapping[str, Any]], reference: Sequence[Mapping[str, Any]], settings: Settings
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """`(candidate's record, reference's record)` of the items to compare, in the order of the records.

    Raises:
        InputError: No task has a text for an answer, one is unknown, or the two arms were not asked the same.
    """
    arms = [
        [record for record in arm if isinstance(record.get("answer"), str) and record.get("question")]
        for arm in (candidate, reference)
    ]
    known = list(dict.fromkeys(record["task"] for record in arms[0]))
    for task in settings.tasks:
        if task not in known:
            raise InputError(f"--task: {task!r} has no question with a text for an answer; accepted: {', '.join(known)}")
    chosen = settings.tasks or (GENERATION,)
    arms = [[record for record in arm if record["task"] in chosen] for arm in arms]
    if not arms[0]:
        others = f"; name one with --task: {', '.join(known)}" if known else ""
        raise InputError(
            f"no {' or '.join(chosen)} has a question with a text for an answer, so there is nothing to compare{others}"
        )
    asked = [[tuple(record.get(key) for key in _ASKED) for record in arm] for arm in arms]
    if asked[0] != asked[1]:
        raise InputError("the two models were not asked the same items; run `dvc repro evaluate@ADAPTER` first")
    found = list(zip(*arms, strict=True))
    if settings.limit is None or settings.limit >= len(found):
        return found
    before: Counter[tuple[str, str]] = Counter()
    ranked = []
    for index in sorted(range(len(found)), key=lambda index: (found[index][0]["item_hash"], index)):
        group = found[index][0]["task"], str(found[index][0]["cluster"])
        ranked.append((before[group], index))
        before[group] += 1
    ranked.sort(key=lambda entry: entry[0])  # stable: in the order of hashes within each round
    return [found[index] for index in sorted(index for _, index in ranked[: settings.limit])]


def judge(
    chosen: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], endpoint: Endpoint, max_tokens: int
) -> Iterator[Judgement]:
    """Each pair in both orders; equal answers without asking.

    Raises:
        InputError, FinelineError: As `Endpoint.complete` says; what was judged before is kept.
    """
    journal = Journal(endpoint.url, endpoint.model, max_tokens)

    def ask(question: str, first: str, second: str) -> Choice | None:
        messages = prompt.messages(question, first, second)
        asked = canonical.digest(messages)
        if asked not in journal:
            journal.add(asked, prompt.choice(endpoint.complete(messages, max_tokens)))
        return journal[asked]

    for number, (one, other) in enumerate(chosen, 1):
        item = one["task"], one["item"], one["item_hash"], str(one["cluster"])
        if one["answer"] == other["answer"]:
            yield Judgement(*item, equal=True)
        else:
            orders = (one["answer"], other["answer"]), (other["answer"], one["answer"])
            try:
                yield Judgement(*item, False, *(ask(one["question"], *order) for order in orders))
            except FinelineError as error:
                raise type(error)(f"{one['task']}, item {one['item']}: {error}") from None
        if number % 50 == 0 and number < len(chosen):
            print(f"{number} of {len(chosen)} pairs", flush=True)


def _told(judgement: Judgement) -> dict[str, Any]:
    """A judgement for the file of judgements: items and choices, no text."""
    orders = {"candidate_first": judgement.candidate_first, "reference_first": judgement.reference_first}
    outcome = "unreadable" if judgement.unreadable else {1: "candidate", -1: "reference", 0: "tie"}[judgement.preference]
    item = {"task": judgement.task, "item": judgement.item, "item_hash": judgement.item_hash}
    return {**item, "equal": judgement.equal, **orders, "outcome": outcome}
