"""The Modelfile of Ollama next to a GGUF file: template, ends of a turn, and greedy decoding.

Ollama does not run the Jinja template inside the file. Its own templates are Go's. A chat template is expressed as one where it
puts a fixed text before and after each message, which is found out by rendering.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fineline.errors import InputError

FILE = "Modelfile"
_MARKS = {"system": "%SYSTEM%", "user": "%USER%", "assistant": "%ASSISTANT%"}
_ROLES = tuple(_MARKS)
_CONVERSATIONS: tuple[tuple[str, ...], ...] = (
    ("user",),
    ("system", "user"),
    ("user", "assistant", "user"),
    ("system", "user", "assistant", "user"),
    ("system", "user", "assistant", "user", "assistant", "user"),
)


@dataclass(frozen=True)
class TurnTemplate:
    """A chat template that puts a fixed text before and after each message."""

    begin: str
    """Before all messages."""
    without_system: str
    """Text at the place of the system message in a conversation without one."""
    before: Mapping[str, str]
    after: Mapping[str, str]
    ask: str
    """Before the answer."""

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return the prompt for messages, as Ollama renders `text`."""
        text = self.begin
        if messages[0]["role"] != "system":
            text += self.without_system
        for message in messages:
            text += self.before[message["role"]] + message["content"] + self.after[message["role"]]
        return text + self.ask

    def renders(self, prompts: Mapping[tuple[str, ...], str]) -> bool:
        """True if it renders conversations, given by their roles, as the chat template does."""
        return all(
            self.render([{"role": role, "content": _MARKS[role]} for role in roles]) == prompt
            for roles, prompt in prompts.items()
        )

    def begun(self, tokens: tuple[str, ...]) -> int:
        """Return the number of parts around messages that begin with one of these tokens; those before count twice."""
        parts = (*self.before.values(), *self.after.values(), self.ask)
        return sum(part.startswith(tokens) for part in (*parts, *self.before.values())) if tokens else 0

    @property
    def text(self) -> str:
        """The template in Go's language."""
        first = f'{{{{ if ne (index .Messages 0).Role "system" }}}}{_go(self.without_system)}{{{{ end }}}}'
        parts = [_go(self.begin), first if self.without_system else "", "{{ range .Messages }}"]
        for number, role in enumerate(_ROLES):
            keyword = "if" if number == 0 else "else if"
            parts.append(f'{{{{ {keyword} eq .Role "{role}" }}}}')
            parts.append(f"{_go(self.before[role])}{{{{ .Content }}}}{_go(self.after[role])}")
        return "".join([*parts, "{{ end }}{{ end }}", _go(self.ask)])


def turn_template(chat: Any, begins: str = "") -> TurnTemplate | None:
    """Return the chat template of a model as one of fixed texts; None if it does more than that.

    Args:
        chat: A `ChatFormat`.
        begins: A text at the beginning of every prompt, which is left out.
    """
    prompts: dict[tuple[str, ...], str] = {}
    if chat.asks_for_date:
        return None
    for roles in _CONVERSATIONS:
        try:
            prompt = chat.prompt([{"role": role, "content": _MARKS[role]} for role in roles])
        except InputError:  # a template without system messages
            return None
        if not prompt.startswith(begins) or any(prompt.count(_MARKS[role]) != roles.count(role) for role in roles):
            return None
        prompts[roles] = prompt.removeprefix(begins)
    known = tuple(chat.tokenizer.added)
    made = [one for one in _candidates(prompts) if one is not None and one.renders(prompts)]
    return max(made, key=lambda one: (one.begun(known), len(one.ask)), default=None)


def _candidates(prompts: Mapping[tuple[str, ...], str]) -> Iterator[TurnTemplate]:
    """Yield the ways to cut the texts between messages into the end of one and the beginning of the next."""
    lead, after_user = prompts[("user",)].split(_MARKS["user"])
    begin, rest = prompts[("system", "user")].split(_MARKS["system"])
    after_system = rest.split(_MARKS["user"])[0]
    _, after_first, *_ = prompts[("user", "assistant", "user")].split(_MARKS["user"])
    if _MARKS["assistant"] not in after_first:
        return
    before_answer, after_answer = after_first.split(_MARKS["assistant"])
    for answer in range(len(before_answer) + 1):
        user_end, answer_begin = before_answer[:answer], before_answer[answer:]
        if not after_user.startswith(user_end):
            continue
        for turn in range(len(after_answer) + 1):
            answer_end, user_begin = after_answer[:turn], after_answer[turn:]
            if not (after_system.endswith(user_begin) and lead.endswith(user_begin)):
                continue
            default = lead.removesuffix(user_begin)
            shared = default if begin.startswith(default) else ""
            yield TurnTemplate(
                begin=shared,
                without_system=default.removeprefix(shared),
                before={"system": begin.removeprefix(shared), "user": user_begin, "assistant": answer_begin},
                after={"system": after_system.removesuffix(user_begin), "user": user_end, "assistant": answer_end},
                ask=after_user.removeprefix(user_end),
            )


def _go(text: str) -> str:
    """Return a text as Go's templates show it unchanged."""
    return text.replace("{{", '{{ "{{" }}')


def write(
    model: str, chat: Any | None, ends: Sequence[str], *, begins: str = "", adapter: str | None = None
) -> tuple[str, str]:
    """Return the Modelfile, and what it could not express, which is empty if it expressed all.

    Args:
        model: Name of the GGUF file.
        chat: The `ChatFormat` of the model; None without a chat template.
        ends: Texts of the tokens that end an answer.
        begins: Text of the token for the beginning of a text, if llama.cpp puts it there by itself.
        adapter: Name of the GGUF file of an adapter, if the model is its base.
    """
    lines, missing = [f"FROM ./{model}"], ""
    if adapter:
        lines.append(f"ADAPTER ./{adapter}")
    found = turn_template(chat, begins) if chat is not None else None
    if found is None:
        missing = "the chat template does more than put fixed texts around messages, so the Modelfile has no TEMPLATE"
        lines.append(f"# {missing}: send prompts that are rendered with the chat template of the model")
    else:
        lines.append(f'TEMPLATE """{found.text}"""')
    lines += [f"PARAMETER stop {_quoted(end)}" for end in ends]
    lines += ["PARAMETER temperature 0", "PARAMETER top_k 1", "PARAMETER repeat_penalty 1"]
    return "\n".join(lines) + "\n", missing


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
