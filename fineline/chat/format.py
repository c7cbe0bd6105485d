"""The chat format of a base model: a row becomes a conversation, its answers, their tokens and their end.

Everything that concerns the text of a row is decided here: what is learned is what is judged is what is served.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fineline.chat import messages as prepared
from fineline.chat import shown
from fineline.chat.answer import Answering, RenderedAnswer
from fineline.chat.form import ANSWER, QUESTION, TemplateForm
from fineline.chat.settings import ChatSettings
from fineline.chat.template import ChatTemplate, TemplateRefusal
from fineline.chat.tokenizer import ChatTokenizer
from fineline.errors import InputError

_WITHOUT_THINKING = {"enable_thinking": False, "thinking": False}
"""Variables with which templates leave a block of reasoning out."""


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
        return self._template(tools)[1].mark

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
        return Answering(self, template, form, ready, tools, prompt).rendered()

    def end_after(self, text: str, following: Mapping[str, Any], conversation: Sequence[Mapping[str, Any]], tools: Any) -> str:
        """Return the end token of an answer after which the template writes none: the first token of the next turn, or EOS.

        Raises:
            InputError: There is neither.
        """
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
