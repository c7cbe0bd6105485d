"""Edits of YAML files that people write: everything around an edit, comments included, stays as it is.

The parsed document gives the positions of a value; only those characters are replaced.
"""

from collections.abc import Sequence
from typing import Any

import yaml

from fineline.errors import InputError

STEP = "  "


def replace(text: str, path: Sequence[str], value: str | int) -> str:
    """Return the text with another scalar at a path of keys.

    Raises:
        InputError: There is no scalar at the path.
    """
    node = _at(text, path)
    if not isinstance(node, yaml.ScalarNode):
        raise InputError(f"params.yaml: {'.'.join(path)}: a single value is needed here")
    return text[: node.start_mark.index] + _dumped(value) + text[node.end_mark.index :]


def put(text: str, path: Sequence[str], block: dict[str, Any]) -> str:
    """Return the text with a block as the last entry of a block-style mapping, or in place of the block with its name.

    Args:
        path: Keys down to the block; its parent must be there.

    Raises:
        InputError: The parent is not a mapping, or one in flow style (`{...}`), which has no lines to add to.
    """
    *above, name = path
    if name in keys(text, above):
        text = remove(text, path)
    parent = _at(text, above)
    if not isinstance(parent, yaml.MappingNode) or (parent.flow_style and parent.value):
        raise InputError(f"params.yaml: {'.'.join(above)}: write it as a block of indented lines, so that one can be added")
    indent = STEP * len(above)
    if not parent.value:  # `adapters: {}` or nothing at all
        head, tail = text[: parent.start_mark.index].rstrip(), text[parent.end_mark.index :].lstrip("\n")
        return f"{head}\n{_block(name, block, indent)}{tail}"
    indent = " " * parent.value[0][0].start_mark.column
    end = _end_of_line(text, _last(parent))
    before, after = text[:end], text[end:]
    return f"{before.rstrip()}\n{_block(name, block, indent)}{after}"


def remove(text: str, path: Sequence[str]) -> str:
    """Return the text without a key and its value, and without the comments on their lines.

    Raises:
        InputError: There is no such key, or it is in a mapping in flow style.
    """
    *above, name = path
    parent = _at(text, above)
    if isinstance(parent, yaml.MappingNode) and not parent.flow_style:
        for key, value in parent.value:
            if key.value == name:
                begin = text.rfind("\n", 0, key.start_mark.index) + 1
                end = _end_of_line(text, max(_last(value), key.end_mark.index))
                rest = text[:begin] + text[end:]
                return rest if len(parent.value) > 1 else _emptied(rest, begin, parent, above)
    raise InputError(f"params.yaml: {'.'.join(path)}: there is no such block of lines")


def keys(text: str, path: Sequence[str]) -> list[str]:
    """Return the names in the mapping at a path."""
    node = _at(text, path)
    return [key.value for key, _ in node.value] if isinstance(node, yaml.MappingNode) else []


def _emptied(text: str, at: int, parent: yaml.MappingNode, above: Sequence[str]) -> str:
    """Return the text with `{}` for a mapping that lost its last entry: without it the value would be null."""
    if not above:
        return text
    return f"{text[:at].rstrip()} {{}}\n{text[at:]}"


def _at(text: str, path: Sequence[str]) -> yaml.Node:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for depth, name in enumerate(path):
        inside = {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
        if name not in inside:
            raise InputError(f"params.yaml: {'.'.join(path[: depth + 1])}: there is no such key")
        node = inside[name]
    if node is None:
        raise InputError("params.yaml: is empty")
    return node


def _last(node: yaml.Node) -> int:
    """Return the position after a value; the end mark of a block may be after blank lines and comments."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return max(_last(node.value[-1][1]), node.value[-1][0].end_mark.index)
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return _last(node.value[-1])
    return int(node.end_mark.index)


def _end_of_line(text: str, index: int) -> int:
    """Return the position after the line that contains the character before `index`."""
    end = text.find("\n", max(index - 1, 0))
    return len(text) if end < 0 else end + 1


def _block(name: str, block: dict[str, Any], indent: str) -> str:
    dumped = yaml.safe_dump({name: block}, sort_keys=False, allow_unicode=True, width=120)
    return "".join(f"{indent}{line}\n" for line in dumped.removesuffix("\n").split("\n"))


def _dumped(value: str | int) -> str:
    return yaml.safe_dump(value, allow_unicode=True, width=2**20).removesuffix("\n...\n").removesuffix("\n")
