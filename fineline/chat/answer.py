"""An answer of a conversation, taken out of the rendered text: prompt, lead, answer and end."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fineline.chat.form import ANSWER, QUESTION, TemplateForm
from fineline.chat.template import ChatTemplate
from fineline.errors import InputError

if TYPE_CHECKING:
    from fineline.chat.format import ChatFormat

_AFTER = "zqxvafter"
_BLOCK = re.compile(r"think|thought|reason", re.IGNORECASE)


@dataclass(frozen=True)
class RenderedAnswer:
    """One answer of a conversation as text: `prompt`, then `lead`, `answer` and `end`, which are learned."""

    prompt: str
    """Everything that a server sends, with the generation prompt."""
    lead: str
    """The text that the template writes before the answer: a block of reasoning, a header."""
    answer: str
    """The answer as the template writes it: the reference that metrics compare with."""
    end: str
    """The token that ends the turn, where generation stops, with what the template writes before it."""
    masked: bool = False
    """True if the lead is context of the answer and is not learned."""
    dropped: bool = False
    """True if the message has reasoning that the template does not show."""

    tail: str = ""
    """The text that the template writes between the answer and the token that ends the turn: the beginning of `end`."""

    @property
    def begun(self) -> str:
        """Prompt and lead."""
        return self.prompt + self.lead

    @property
    def completion(self) -> str:
        """Lead, answer and end."""
        return self.lead + self.answer + self.end


class Answering:
    """The last message of a conversation, taken apart into lead, answer and end.

    Args:
        chat: Knows the tokens that end an answer.
        messages: As the template reads them.
        prompt: The text that a server sends before the answer.
    """

    def __init__(
        self,
        chat: "ChatFormat",
        template: ChatTemplate,
        form: TemplateForm,
        messages: list[dict[str, Any]],
        tools: Any,
        prompt: str,
    ) -> None:
        self.chat, self.template, self.form, self.tools, self.prompt = chat, template, form, tools, prompt
        self.messages = messages
        self.before, self.message = messages[:-1], messages[-1]
        self.plain = {name: value for name, value in self.message.items() if name != "tool_calls"}

    def rendered(self) -> RenderedAnswer:
        """Return the answer.

        Raises:
            InputError: The template writes no answer that follows its own generation prompt.
        """
        whole = self.template.render(self.messages, self.tools)
        probe = self._with_content(ANSWER)
        place = probe.rfind(ANSWER)
        if place < 0:
            raise InputError("the chat template does not show an answer of the assistant; use another template")
        head, tail = probe[:place], probe[place + len(ANSWER) :]
        lead = self._lead(head)
        calls = self.message.get("tool_calls")
        if calls:
            lead, text, after = self._call(whole, head, lead)
        else:
            if len(whole) < len(head) + len(tail) or not (whole.startswith(head) and whole.endswith(tail)):
                raise InputError(
                    "the chat template renders the rest of the conversation differently for another answer, so the answer"
                    " cannot be separated; use another template"
                )
            text, after = whole[len(head) : len(whole) - len(tail)], tail
        lead, dropped = self._reasoned(lead)
        text, end, tail = self._ended(whole, text, after)
        mark, reasons = self.form.mark, bool(self.message.get("reasoning_content"))
        masked = self.chat.settings.reasoning == "mask" and bool(lead) and (reasons or bool(mark and mark in lead))
        return RenderedAnswer(self.prompt, lead, text, tail + end, masked, dropped, tail)

    def _with_content(self, text: str) -> str:
        """Return the conversation with a text, and no call, as the answer."""
        return self.template.render([*self.before, self.form.content("assistant", text, self.plain)], self.tools)

    def _lead(self, head: str) -> str:
        """Return the text that the template writes between generation prompt and answer, given all text before the answer."""
        if head.startswith(self.prompt):
            return head[len(self.prompt) :]
        served, learned = self._tails()
        if learned.startswith(served):
            return learned[len(served) :]
        if served.startswith(learned) or self.form.opened(self.prompt):
            return ""  # the prompt has a block that the rendered answer lacks; `_reasoned` closes an open one
        if (lead := _after_same_marks(served, learned)) is not None:
            return lead  # they differ in white space only; a server sends that of the generation prompt
        common = _common(served, learned)
        block, header = served[common:], learned[common:]
        if header and block.endswith(header):
            return ""
        if _BLOCK.search(block):  # the generation prompt has a closed block, and the rendered answer has another or none
            if self.message.get("reasoning_content"):
                raise InputError(
                    f"the generation prompt closes the block of reasoning ({block!r}), but the row has reasoning; set"
                    " `curate.chat.variables` so that the template opens it (often `enable_thinking: true`), or"
                    " `curate.chat.reasoning: drop`"
                )
            mark = self.form.mark
            return header.partition(mark)[2] if mark and mark in header else header
        raise InputError(
            "the chat template renders the prompt differently with and without the completion: the generation prompt ends with"
            f" {served[-60:]!r}, but {learned[-60:]!r} is before an answer; set `curate.chat.variables`, or use another"
            " template"
        )

    def _tails(self) -> tuple[str, str]:
        """Return the text after the last message before the answer: in the prompt, and before the answer."""
        last = self.before[-1]
        asked = [*self.before[:-1], self.form.content(last["role"], QUESTION, last)]
        served = self.template.render(asked, self.tools, ask=True)
        learned = self.template.render([*asked, self.form.content("assistant", ANSWER, self.plain)], self.tools)
        return served.rpartition(QUESTION)[2], learned.rpartition(QUESTION)[2].rpartition(ANSWER)[0]

    def _call(self, whole: str, head: str, lead: str) -> tuple[str, str, str]:
        """Return lead, text and what follows of an answer with calls, which may not begin as a text does."""
        opened = self.form.opened(self.prompt)
        bare = head[: len(head) - len(lead)] if lead else head
        if whole.startswith(self.prompt):
            bare = self.prompt
        elif opened or not whole.startswith(bare):
            bare = whole[: _common(whole, self.prompt)]  # the prompt opens a block that the rendered call lacks
            if not opened and not whole.startswith(head[: len(bare)]):
                raise InputError(
                    "the chat template renders the prompt differently with and without a call; use another template"
                )
        rest = whole[len(bare) :]
        if lead and rest.startswith(lead):
            return lead, rest[len(lead) :], ""
        mark = self.form.mark
        begin = rest.find(mark) + len(mark) if mark and mark in rest else 0
        while begin and begin < len(rest) and rest[begin].isspace():
            begin += 1
        return rest[:begin], rest[begin:], ""

    def _reasoned(self, lead: str) -> tuple[str, bool]:
        """Return the lead with a block of reasoning that the prompt opens and the template leaves open, and True if the
        reasoning of the message is lost."""
        reasoning = self.message.get("reasoning_content") or ""
        opened, closing = self.form.opened(self.prompt), self.form.closing(self.prompt)
        if opened and closing.strip() not in lead:
            return f"{reasoning}{closing}{lead}", False
        if not opened and self.form.opened(lead):
            return f"{lead}{closing}", False
        return lead, bool(reasoning) and reasoning not in lead

    def _ended(self, whole: str, text: str, after: str) -> tuple[str, str, str]:
        """Return the text of an answer, the token that ends it, and what the template writes between the two."""
        if calls := self.message.get("tool_calls"):
            found = self.chat.first_end(text)
            shown = text if found is None else text[: found[0]]
            if any(str(call["function"].get("name", "")) not in shown for call in calls):
                raise InputError(
                    "the chat template ends the turn before its calls, so a server would stop there; use a base model whose"
                    " template writes calls inside the turn"
                )
            if found is not None:
                return shown, found[1], ""
        if (found := self.chat.first_end(text)) is not None:  # the row itself contains an end: a server would stop there
            return text[: found[0]], found[1], ""
        if (found := self.chat.first_end(after)) is not None:
            return text, found[1], after[: found[0]]
        role = "tool" if self.message.get("tool_calls") else "user"
        following = self.form.content(role, _AFTER)
        return text, self.chat.end_after(whole, following, self.messages, self.tools), ""


def _common(one: str, other: str) -> int:
    """Return the length of the common beginning of two texts, without a mark such as `<think>` that only begins alike."""
    pairs = enumerate(zip(one, other, strict=False))
    same = next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))
    for begin, end in (("<", ">"), ("[", "]")):
        mark = one.rfind(begin, 0, same)
        if mark >= 0 and end not in one[mark:same]:
            same = mark
    return same


def _after_same_marks(served: str, learned: str) -> str | None:
    """Return the rest of the second text after the first one, if that begins it but for white space; None if it does not."""
    place = 0
    for character in served:
        if character.isspace():
            continue
        while place < len(learned) and learned[place].isspace():
            place += 1
        if place == len(learned) or learned[place] != character:
            return None
        place += 1
    rest = learned[place:]
    return rest.lstrip() if served[-1:].isspace() else rest
