"""Checks of the chat template: what it adds to answers, what it changes, and whether judging asks for the same tokens."""

from collections import Counter
from collections.abc import Sequence

from fineline.chat.answer import RenderedAnswer
from fineline.chat.format import ChatFormat
from fineline.chat.messages import split_reasoning
from fineline.chat.tokens import cut
from fineline.train.row_checks import Line, PreflightIssue

_SHOWN = 60  # characters of template text in a message


def issues(lines: Sequence[Line], chat: ChatFormat) -> list[PreflightIssue]:
    """Return what the template adds to or takes from the last answers, and the check of their tokens."""
    answers = [chat.answer(line.row["messages"], line.row.get("tools")) for line in lines]
    return [
        _added(answers, chat),
        _changed(lines, answers),
        _earlier_calls(lines, answers),
        _same_tokens(lines, answers, chat),
        _date(chat),
    ]


def _earlier_calls(lines: Sequence[Line], answers: Sequence[RenderedAnswer]) -> PreflightIssue:
    """Report calls of earlier turns that the template does not show: the last answer is learned without its cause."""
    lost = []
    for line, answer in zip(lines, answers, strict=True):
        calls = [call for message in line.row["messages"][:-1] for call in message.get("tool_calls") or ()]
        if any(str(call.get("function", {}).get("name", "")) not in answer.prompt for call in calls):
            lost.append(line)
    found = {"rows": len(lost), "of": len(lines)}
    if not lost:
        return PreflightIssue("earlier_calls", "ok", found, "calls of earlier turns are in the prompt")
    message = (
        f"{len(lost)} of {len(lines)} rows have calls in earlier turns that the chat template does not show, for example"
        f" {lost[0]}; use a base model whose template supports tools"
    )
    return PreflightIssue("earlier_calls", "warning", found, message)


def _added(answers: Sequence[RenderedAnswer], chat: ChatFormat) -> PreflightIssue:
    """Report the text that the template writes around an answer; it is learned, and removed before answers are compared."""
    plain = Counter(answer.lead for answer in answers if len(answer.lead) <= _SHOWN)
    leads, tails = sum(bool(answer.lead) for answer in answers), sum(bool(answer.tail) for answer in answers)
    dropped = sum(answer.dropped for answer in answers)
    found = {"before": leads, "after": tails, "reasoning_lost": dropped, "reasoning": chat.settings.reasoning}
    said = []
    if leads:
        example = next((repr(lead) for lead, _ in plain.most_common() if lead), "a block of reasoning")
        learned = "not learned" if all(answer.masked for answer in answers if answer.lead) else "learned"
        said.append(f"text before {leads} of {len(answers)} answers, {learned}, such as {example}")
    if tails:
        example = next(repr(answer.tail[:_SHOWN]) for answer in answers if answer.tail)
        said.append(f"text after {tails} of {len(answers)} answers, such as {example}")
    if dropped:
        lost = (
            f"the reasoning of {dropped} of {len(answers)} rows is not in the text, because the template has no place for it;"
            " use a base model that reasons, or set `curate.chat.reasoning: drop`"
        )
        return PreflightIssue("template_adds", "warning", found, "; ".join([*said, lost]))
    if not said:
        return PreflightIssue("template_adds", "ok", found, "the chat template adds no text to answers but their end")
    return PreflightIssue("template_adds", "info", found, f"the chat template writes {', and '.join(said)}")


def _changed(lines: Sequence[Line], answers: Sequence[RenderedAnswer]) -> PreflightIssue:
    """Report answers that the template trims or changes: the reference is the text that is learned."""
    changed = []
    for line, answer in zip(lines, answers, strict=True):
        message = line.row["messages"][-1]
        content = message.get("content") or ""
        if message.get("tool_calls") or answer.answer == content:
            continue
        if answer.answer != split_reasoning(content)[1]:
            changed.append(line)
    found = {"rows": len(changed), "of": len(lines)}
    if not changed:
        return PreflightIssue("template_changes", "ok", found, "answers are learned as the rows have them")
    message = (
        f"the chat template changes {len(changed)} of {len(lines)} answers, for example that of {changed[0]} (white space, most"
        " often); answers are compared with what is learned"
    )
    return PreflightIssue("template_changes", "info", found, message)


def _same_tokens(lines: Sequence[Line], answers: Sequence[RenderedAnswer], chat: ChatFormat) -> PreflightIssue:
    """Check that the tokens of a row are those that judging and serving ask for: of its prompt, and of its answer after it."""
    ids, other, seams = chat.tokenizer.ids, [], 0
    for line, answer in zip(lines, answers, strict=True):
        before, learned = (answer.begun, answer.answer + answer.end) if answer.masked else (answer.prompt, answer.completion)
        prompt, completion = cut(ids, before, learned, chat.eos)
        seams += ids(before + learned) != prompt + completion
        if line.tokens.input_ids[-len(completion) :] != completion or (
            len(prompt) + len(completion) == line.length and line.tokens.input_ids[: len(prompt)] != prompt
        ):
            other.append(line)
    found = {"rows": len(other), "of": len(lines), "seams": seams}
    if other:
        message = (
            f"{len(other)} of {len(lines)} rows have other tokens than those that judging asks for, for example {other[0]}; the"
            " tokenizer or its files changed since the rows were read: run the stage again"
        )
        return PreflightIssue("same_tokens", "error", found, message)
    if seams:
        message = (
            f"at the end of the prompt, {seams} of {len(lines)} rows are tokenized as a server does, prompt and answer apart:"
            " one token would reach across"
        )
        return PreflightIssue("same_tokens", "info", found, message)
    return PreflightIssue("same_tokens", "ok", found, "judging asks for the tokens that are learned")


def _date(chat: ChatFormat) -> PreflightIssue:
    found = {"asks": chat.asks_for_date, "date": chat.settings.date.isoformat()}
    if not chat.asks_for_date:
        return PreflightIssue("date", "ok", found, "the prompt does not depend on the date")
    message = (
        f"the chat template writes the date: training and judging use {chat.settings.date.isoformat()} (`curate.chat.date`),"
        " and a server will send today's"
    )
    return PreflightIssue("date", "info", found, message)
