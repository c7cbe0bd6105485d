"""The chat format of a base model: a row becomes a conversation, its answers, their tokens and their end.

Everything that concerns the text of a row is decided here: what is learned is what is judged is what is served.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fineline.chat import messages as prepared
from fineline.chat import shown
from fineline.chat.form import ANSWER, QUESTION, TemplateForm
from fineline.chat.settings import ChatSettings
from fineline.chat.template import ChatTemplate, TemplateRefusal
from fineline.chat.tokenizer import ChatTokenizer
from fineline.errors import InputError

_WITHOUT_THINKING = {"enable_thinking": False, "thinking": False}
"""Variables with which templates leave a block of reasoning out."""
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
    def completion(self) -> str:
        """Lead, answer and end."""
        return self.lead + self.answer + self.end


class ChatFormat:
    """How messages become text and tokens for one base model.

    Args:
        tokenizer: Its tokenizer and templates.
        settings: The block `chat:` of an adapter.

    Raises:
        InputError: There is no chat template, or none of the name in the settings.
    """

    def __init__(self, tokenizer: ChatTokenizer, settings: ChatSettings | None = None) -> None:
        self.tokenizer = tokenizer
        self.settings = settings or ChatSettings()
        if not tokenizer.templates:
            raise InputError(
                "the tokenizer has no chat template: add the model's chat_template.jinja to the base's directory, or use an"
                " instruct model, which has one"
            )
        if self.settings.template is not None and self.settings.template not in tokenizer.templates:
            raise InputError(
                f"params.yaml: curate.chat.template: the base has no template {self.settings.template!r};"
                f" accepted: {', '.join(tokenizer.templates)}"
            )
        self._templates: dict[str, tuple[ChatTemplate, TemplateForm]] = {}
        self._shown: dict[Any, str | None] = {}

    @classmethod
    def load(cls, directory: Path, settings: ChatSettings | None = None) -> "ChatFormat":
        """Return the chat format of the model in a directory, read without torch.

        Raises:
            InputError: The tokenizer cannot be read, or has no such template.
        """
        try:
            return cls(ChatTokenizer.from_files(directory), settings)
        except InputError as error:
            raise InputError(f"{directory}: {error}") from error

    @property
    def recorded(self) -> dict[str, Any]:
        """The settings for an artifact: those that were set, and the date if the template asks for it; empty without any."""
        kept = self.settings.model_dump(mode="json", exclude_unset=True)
        if self.asks_for_date:
            kept["date"] = self.settings.date.isoformat()
        return {"chat": kept} if kept else {}

    @cached_property
    def ends(self) -> dict[str, int]:
        """Text -> id of every token that ends an answer: those in the model's files, and the one that the template writes."""
        found = {text: number for text, number in self.tokenizer.added.items() if number in self.tokenizer.ends}
        if self._written_end is not None:
            found[self._written_end] = self.tokenizer.added[self._written_end]
        return found

    @cached_property
    def _written_end(self) -> str | None:
        """The added token that the template writes directly after an answer, if no token in the model's files ends it."""
        template, form = self._template(None)
        question = form.content("user", QUESTION)
        try:
            whole = template.render([question, form.content("assistant", ANSWER)])
        except TemplateRefusal:
            return None
        after = whole.rpartition(ANSWER)[2]
        if any(text in after for text, number in self.tokenizer.added.items() if number in self.tokenizer.ends):
            return None
        return self._first_added(after)

    def _first_added(self, text: str) -> str | None:
        """Return the added token with which a text begins, after white space."""
        begun = [token for token in self.tokenizer.added if text.lstrip().startswith(token)]
        return max(begun, key=len, default=None)

    @property
    def eos(self) -> str | None:
        """The end-of-sequence token of the tokenizer."""
        return self.tokenizer.special.get("eos_token")

    @property
    def asks_for_date(self) -> bool:
        """True if the prompt contains the date of the day."""
        return self._template(None)[0].asks_for_date

    def mark_of(self, tools: Any = None) -> str:
        """Return the text that ends a block of reasoning; empty if the template writes none."""
        form = self._template(tools)[1].reasoning
        return form.mark if form is not None else ""

    def _template(self, tools: Any) -> tuple[ChatTemplate, TemplateForm]:
        names = self.tokenizer.templates
        name = self.settings.template or ("tool_use" if tools and "tool_use" in names else "default")
        if name not in names:
            raise InputError(
                f"the base has several chat templates and no `default`; set `curate.chat.template` to one of {', '.join(names)}"
            )
        if name not in self._templates:
            source, settings = names[name], self.settings
            if settings.reasoning == "drop":
                known = {variable: value for variable, value in _WITHOUT_THINKING.items() if variable in source}
                settings = settings.model_copy(update={"variables": known | settings.variables})
            template = ChatTemplate(source, self.tokenizer.special, settings)
            self._templates[name] = template, TemplateForm(template)
        return self._templates[name]

    def prompt(self, messages: Sequence[Mapping[str, Any]], tools: Any = None) -> str:
        """Return the prompt that a server sends for messages.

        Raises:
            InputError: The template rejects the messages.
        """
        template, form = self._template(tools)
        return template.render(prepared.prepare(messages, form, self.settings), tools, ask=True)

    def answer(self, messages: Sequence[Mapping[str, Any]], tools: Any = None) -> RenderedAnswer:
        """Return the last message, an answer of the assistant, as it is learned, judged and served.

        Raises:
            InputError: The template rejects the messages, does not show all of them, or writes no answer that follows its own
                generation prompt.
        """
        template, form = self._template(tools)
        ready = prepared.prepare(messages, form, self.settings)
        shape = shown.shape(ready, tools)
        if shape not in self._shown:
            self._shown[shape] = shown.missing(template, form, ready, tools)
        if (missing := self._shown[shape]) is not None:
            raise shown.NotShown(missing)
        prompt = template.render(ready[:-1], tools, ask=True)
        return _Answering(self, template, form, ready, tools, prompt).rendered()

    def end_after(self, text: str, following: Mapping[str, Any], conversation: Sequence[Mapping[str, Any]], tools: Any) -> str:
        """Return the end token of an answer behind which the template writes none: the next turn's first token, or EOS."""
        template, _ = self._template(tools)
        try:
            longer = template.render([*conversation, following], tools)
        except TemplateRefusal:
            longer = ""
        if longer.startswith(text):
            token = self._first_added(longer[len(text) :])
            if token is not None and token in self.ends:
                return token
        if self.eos:
            return self.eos
        raise InputError(
            "the chat template ends no turn, and the tokenizer has no end-of-sequence token: the model would not learn to stop;"
            " use a chat template that ends turns"
        )

    def first_end(self, text: str) -> tuple[int, str] | None:
        """Return place and text of the first end token in a text."""
        found = [(at, -len(token), token) for token in self.ends if (at := text.find(token)) >= 0]
        return (min(found)[0], min(found)[2]) if found else None


class _Answering:
    """One answer that is taken apart into lead, answer and end."""

    def __init__(
        self,
        chat: ChatFormat,
        template: ChatTemplate,
        form: TemplateForm,
        messages: list[dict[str, Any]],
        tools: Any,
        prompt: str,
    ) -> None:
        self.chat, self.template, self.form, self.tools, self.prompt = chat, template, form, tools, prompt
        self.messages = messages
        self.before, self.message = messages[:-1], messages[-1]
        self.mode = chat.settings.reasoning

    def rendered(self) -> RenderedAnswer:
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
        mark = self.form.reasoning.mark if self.form.reasoning else ""
        masked = (
            self.mode == "mask" and bool(lead) and (bool(self.message.get("reasoning_content")) or bool(mark and mark in lead))
        )
        return RenderedAnswer(self.prompt, lead, text, tail + end, masked, dropped, tail)

    def _with_content(self, text: str) -> str:
        """Return the conversation with a text, and no call, as the answer."""
        plain = {name: value for name, value in self.message.items() if name != "tool_calls"}
        return self.template.render([*self.before, self.form.content("assistant", text, plain)], self.tools)

    def _lead(self, head: str) -> str:
        """Return what the template writes between the generation prompt and the answer, given the text before the answer."""
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
            mark = self.form.reasoning.mark if self.form.reasoning else ""
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
        plain = {name: value for name, value in self.message.items() if name != "tool_calls"}
        served = self.template.render(asked, self.tools, ask=True)
        learned = self.template.render([*asked, self.form.content("assistant", ANSWER, plain)], self.tools)
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
        mark = self.form.reasoning.mark if self.form.reasoning else ""
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
