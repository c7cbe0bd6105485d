"""Tool definitions and tool calls in the forms that people have them -> the form that chat templates read.

| definition                                        | becomes                                                      |
|---------------------------------------------------|--------------------------------------------------------------|
| `{name, description, parameters}`                 | `{type: function, function: {name, description, parameters}}` |
| `{name, description, input_schema}`               | the same, with `input_schema` as `parameters`                |
| `{type: function, name, parameters}`              | the same                                                     |
| `{type: function, function: {…}}`                 | stays as it is                                               |

A call becomes `{type: function, id, function: {name, arguments}}` with an object as `arguments`; without an id it has none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fineline.curate.reading import Reading, Rejected, is_empty, parsed, without_nulls

_NULL_IS_A_VALUE = ("default", "const")  # keys of JSON Schema
_CALL = {"name", "arguments"}
_NESTED = 2  # times that arguments may have been written as JSON text


def definitions(value: Any, sparse: bool = False) -> list[Any] | None:
    """Return the tool definitions of a row or a message; None if there are none.

    Args:
        sparse: True if every null means that a key is absent. Otherwise `default: null` and `const: null` stay.

    Raises:
        Rejected: The value is not a list of tools.
    """
    if isinstance(value, str):
        if value.strip() in ("", "null"):
            return None
        value = parsed(value)
        if value is None:
            raise Rejected("`tools` is not valid JSON")
    if isinstance(value, dict):
        value = [value] if value else None
    if value is None:
        return None
    if not isinstance(value, list):
        raise Rejected("`tools` is not a list")
    return [_definition(tool, sparse) for tool in value if not is_empty(tool)] or None


def _definition(tool: Any, sparse: bool) -> dict[str, Any]:
    tool = parsed(tool)
    if not isinstance(tool, dict):
        raise Rejected("`tools` must contain objects")
    tool = without_nulls(tool, () if sparse else _NULL_IS_A_VALUE)
    inner = tool.get("function")
    if isinstance(inner, dict):
        return tool if "type" in tool else {"type": "function", **tool}
    if not isinstance(tool.get("name"), str):
        return tool
    function = {name: value for name, value in tool.items() if name != "type" or value != "function"}
    if "parameters" not in function and isinstance(function.get("input_schema"), dict):
        function["parameters"] = function.pop("input_schema")
    return {"type": "function", "function": function}


def calls(value: Any, place: int, reading: Reading) -> list[dict[str, Any]]:
    """Return the tool calls of message `place`: a list, one call, or either as JSON text.

    Raises:
        Rejected: A call has no name, or its arguments are not an object.
    """
    value = parsed(value)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not value:
        raise Rejected(f"message {place}: a tool call is not a JSON object with a name")
    return [_call(call, place, reading) for call in value if call is not None]


def is_calls(value: Any) -> bool:
    """True if a value is a list of objects with nothing but the name and the arguments of a call."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) and one.keys() == _CALL for one in value)


def drop_absent_arguments(messages: Sequence[Mapping[str, Any]], tools: Sequence[Any], reading: Reading) -> None:
    """Remove, in place, null arguments that the definition of their tool does not have: another call of the column has them."""
    properties: dict[Any, Any] = {}
    for message in messages:
        for call in message.get("tool_calls", ()):
            arguments = call["function"]["arguments"]
            if None not in arguments.values():
                continue
            properties = properties or {body.get("name"): _properties(body) for tool in tools if (body := tool.get("function"))}
            known = properties.get(call["function"]["name"])
            absent = [name for name, value in arguments.items() if value is None and known is not None and name not in known]
            for name in absent:
                del arguments[name]
                reading.notes.add("null_arguments")


def _properties(function: Any) -> dict[str, Any] | None:
    schema = function.get("parameters") if isinstance(function, dict) else None
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return properties if isinstance(properties, dict) else None


def _call(call: Any, place: int, reading: Reading) -> dict[str, Any]:
    call = parsed(call)
    inner = parsed(call.get("function")) if isinstance(call, dict) else None
    if isinstance(inner, dict):
        outer, function = {name: value for name, value in call.items() if value is not None}, inner
    elif isinstance(call, dict):  # name and arguments, perhaps with the id next to them
        outer = {"id": call["id"]} if call.get("id") else {}
        function = {name: value for name, value in call.items() if name not in ("id", "type", "function")}
    else:
        function = {}
    if not isinstance(function.get("name"), str) or not function["name"].strip():
        raise Rejected(f"message {place}: a tool call is not a JSON object with a name")
    named = "parameters" if "arguments" not in function and "parameters" in function else "arguments"
    arguments = _arguments(function.get(named), place, reading)
    written = {
        "arguments" if name == named else name: arguments if name == named else value
        for name, value in function.items()
        if name == named or value is not None
    }
    return ({} if "type" in outer else {"type": "function"}) | outer | {"function": written | {"arguments": arguments}}


def _arguments(value: Any, place: int, reading: Reading) -> dict[str, Any]:
    if isinstance(value, str):
        reading.notes.add("parsed_arguments")
        value = "{}" if value.strip() == "null" else value
        for _ in range(_NESTED):
            value = (parsed(value) if value.strip() else {}) if isinstance(value, str) else value
        if isinstance(value, dict):
            return value
    elif value is None:
        return {}
    elif isinstance(value, dict):
        if not reading.sparse:
            return value
        kept: dict[str, Any] = without_nulls(value)
        if kept != value:
            reading.notes.add("null_arguments")
        return kept
    raise Rejected(f"message {place}: the arguments of a tool call are not a JSON object")
