"""The form in which a chat template reads messages and writes answers, found by rendering probes.

Templates differ in what they accept (texts or lists of parts, arguments as objects or as JSON text) and in how they write
reasoning. None of it is declared anywhere, so a template is asked with words that occur nowhere else.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fineline.chat.template import ChatTemplate, TemplateRefusal

QUESTION, ANSWER, THOUGHT, SYSTEM = "zqxvuser", "zqxvanswer", "zqxvthought", "zqxvsystem"
"""Words of probes."""
_OPENED = re.compile(r"(?:<(?!\W*end)[^<>/\s]*(?:think|thought|reason)[^<>/]*>|\[think\])\s*$", re.IGNORECASE)
_LAST_WORD = re.compile(r"\S+$")
_TOOL = {
    "type": "function",
    "function": {"name": "zqxvtool", "description": "-", "parameters": {"type": "object", "properties": {}}},
}


@dataclass(frozen=True)
class ReasoningForm:
    """How a template writes reasoning before an answer."""

    opening: str
    """The last word before the reasoning, such as `<think>`."""
    closing: str
    """The text between reasoning and answer."""

    @property
    def mark(self) -> str:
        """The closing without the white space around it: the answer follows it."""
        return self.closing.strip()


class TemplateForm:
    """The form of one template."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template

    def _try(self, messages: list[dict[str, Any]], tools: list[Any] | None = None, *, ask: bool = False) -> str:
        """Return the text of a probe; an empty one if the template rejects it."""
        try:
            return self._template.render(messages, tools, ask=ask)
        except TemplateRefusal:
            return ""

    @cached_property
    def parts(self) -> bool:
        """True if the template reads a content as a list of parts only, and loses a text."""
        asked = [{"role": "user", "content": QUESTION}]
        return QUESTION not in self._try(asked, ask=True) and QUESTION in self._try(
            [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}], ask=True
        )

    @cached_property
    def shows_system(self) -> bool:
        """True if the template shows a system message."""
        messages = [self.content("system", SYSTEM), self.content("user", QUESTION)]
        return SYSTEM in self._try(messages, ask=True)

    @cached_property
    def arguments_as_text(self) -> bool:
        """True if the template expects the arguments of a call as JSON text, and not as an object."""
        as_object, as_text = ({"zqxvkey": "zqxvvalue"}, '{"zqxvkey": "zqxvvalue"}')
        found = self._call(as_object)
        if "zqxvvalue" in found and "'zqxvkey'" not in found:
            return False
        text = self._call(as_text)
        return "zqxvvalue" in text and '\\"zqxvkey' not in text

    @cached_property
    def needs_ids(self) -> bool:
        """True if the template rejects calls without an id of nine letters and digits, as those of Mistral do."""
        arguments = '{"zqxvkey": "zqxvvalue"}' if self.arguments_as_text else {"zqxvkey": "zqxvvalue"}
        return not self._call(arguments, None) and bool(self._call(arguments))

    def _call(self, arguments: Any, identity: str | None = "zqxv00000") -> str:
        call = {"type": "function", "function": {"name": "zqxvtool", "arguments": arguments}}
        if identity is not None:
            call["id"] = identity
        answer = self.content("assistant", "") | {"tool_calls": [call]}
        return self._try([self.content("user", QUESTION), answer], [_TOOL])

    @cached_property
    def reasoning(self) -> ReasoningForm | None:
        """The form of the reasoning of the last answer; None if the template does not show it."""
        question = self.content("user", QUESTION)
        whole = self._try([question, self.content("assistant", ANSWER) | {"reasoning_content": THOUGHT}])
        begin, answer = whole.find(THOUGHT), whole.rfind(ANSWER)
        if begin < 0 or answer < begin:
            return None
        opening = _LAST_WORD.search(whole[:begin].rstrip())
        return ReasoningForm(opening[0] if opening else "", whole[begin + len(THOUGHT) : answer])

    @property
    def mark(self) -> str:
        """The text that ends a block of reasoning; empty if the template shows no reasoning."""
        return self.reasoning.mark if self.reasoning is not None else ""

    def opened(self, prompt: str) -> bool:
        """True if a prompt ends inside a block of reasoning."""
        form = self.reasoning
        if form is not None and form.opening and form.mark and prompt.rstrip().endswith(form.opening):
            return True
        return _OPENED.search(prompt) is not None

    def closing(self, prompt: str) -> str:
        """Return the text that ends the block of reasoning that a prompt opens."""
        if self.reasoning is not None and self.reasoning.mark:
            return self.reasoning.closing
        tag = _OPENED.search(prompt)
        word = tag[0].strip() if tag else "<think>"
        if "START" in word:
            return word.replace("START", "END")
        return f"[/{word[1:]}" if word.startswith("[") else f"\n</{word[1:]}\n\n"

    def content(self, role: str, text: str, message: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a message with a text, in the form that the template reads."""
        held: Any = [{"type": "text", "text": text}] if self.parts else text
        return {**(message or {}), "role": role, "content": held}
