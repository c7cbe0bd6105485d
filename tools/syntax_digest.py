"""The syntax tree of a module without what cannot change a result: comments, docstrings, annotations and messages.

Annotations of functions and of dataclasses are left out; those of other classes count, because pydantic reads them.
Messages are the strings in `raise` and `assert` statements, in calls of exceptions, `print` and loggers, in `help=`, and in
local variables that only these use. An import counts if something that is left uses it.
"""

import ast
import hashlib
from collections.abc import Iterator
from typing import Any

SPEAKING = ("print", "warn", "echo", "secho")
"""Functions and methods whose strings are messages."""
LOGGERS = ("console", "log", "logger", "logging", "warnings")
"""Objects of which every method takes messages."""
EXCEPTIONS = ("Refused", "Unreachable")
"""Exceptions whose names do not end in Error, Exception, Exit or Warning."""
TEXTS = ("help",)
"""Arguments that are shown to a user and never read by a program."""
KEPT = 2
"""Marks an annotation that counts, in the field `simple` of its node."""


def digest(tree: ast.Module) -> str:
    """Return the sha256 digest of a syntax tree: the same in every version of Python, and without positions."""
    return hashlib.sha256("".join(_parts(tree)).encode()).hexdigest()


def essence(source: str) -> ast.Module:
    """Return the syntax tree of a module without comments, docstrings, annotations, messages and what only they use.

    Raises:
        SyntaxError: The source cannot be parsed.
    """
    tree = _Messages().visit(ast.parse(source))
    tree = _Annotations().visit(tree)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} | _exported(tree)
    return _Imports(used).visit(tree)


def imports(tree: ast.Module) -> set[str]:
    """Return the dotted names that a module imports, and for each `from package import name` also `package.name`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


class _Messages(ast.NodeTransformer):
    """Empties the strings of messages."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        spoken = _spoken(node)
        for statement in ast.walk(node):
            if isinstance(statement, ast.Assign | ast.AugAssign) and _targets(statement) & spoken:
                statement.value = _silent(statement.value)
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return _silent(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _speaks(node):
            return _silent(node)
        for keyword in node.keywords:
            if keyword.arg in TEXTS:
                keyword.value = _silent(keyword.value)
        return self.generic_visit(node)


class _Annotations(ast.NodeTransformer):
    """Removes docstrings, annotations, and what only a type checker sees."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = _without_strings(node.body)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_strings(node.body)
        if not any("dataclass" in ast.dump(decorator) for decorator in node.decorator_list):
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign):  # pydantic reads it
                    statement.simple = KEPT
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body = _without_strings(node.body)
        node.returns = None
        spec = node.args
        for argument in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, spec.vararg, spec.kwarg]:
            if argument is not None:
                argument.annotation = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.simple == KEPT:
            return node
        if node.value is None:  # a field without a default, or a declaration
            return ast.Expr(node.target)
        return ast.Assign([node.target], self.visit(node.value))

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt] | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [self.visit(one) for one in node.orelse] or None
        return self.generic_visit(node)


class _Imports(ast.NodeTransformer):
    """Removes imports of names that nothing uses."""

    def __init__(self, used: set[str]) -> None:
        self.used = used

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        node.names = [alias for alias in node.names if (alias.asname or alias.name.split(".")[0]) in self.used]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        if node.module == "__future__":
            return None
        node.names = [alias for alias in node.names if (alias.asname or alias.name) in self.used or alias.name == "*"]
        return node if node.names else None


def _speaks(node: ast.AST) -> bool:
    """True if the strings in a node are messages."""
    if isinstance(node, ast.Raise):
        return True
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    name = function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    owner = function.value.id if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) else ""
    raised = name in EXCEPTIONS or (name[:1].isupper() and name.endswith(("Error", "Exception", "Exit", "Warning")))
    return raised or name in SPEAKING or owner in LOGGERS


def _spoken(function: ast.AST) -> set[str]:
    """Return the local variables of a function that only messages use."""
    messages = [node for node in ast.walk(function) if _speaks(node)]
    within = {id(name) for message in messages for name in ast.walk(message)}
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    shared = {name for node in ast.walk(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    return {name.id for name in names} - {name.id for name in names if id(name) not in within} - shared


def _targets(statement: ast.Assign | ast.AugAssign) -> set[str]:
    """Return the names that a statement assigns, if these are plain names only."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return names if len(names) == len(targets) else set()


class _Silence(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")


def _silent(node: Any) -> Any:
    """Return a node with every string in it empty."""
    return _Silence().visit(node)


def _without_strings(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return statements without those that are a string alone: docstrings of modules, classes, functions and attributes."""
    return [one for one in body if not (isinstance(one, ast.Expr) and _is_string(one.value))]


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _exported(tree: ast.Module) -> set[str]:
    """Return the names in `__all__`."""
    lists = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets)
    ]
    return {
        one.value for found in lists for one in ast.walk(found) if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }


def _parts(node: Any) -> Iterator[str]:
    """Yield a tree as text, without positions, contexts and empty fields."""
    if isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            if name in ("ctx", "kind", "type_comment", "type_ignores") or value is None or value == []:
                continue
            yield f"{name}="
            yield from _parts(value)
            yield ","
        yield ")"
    elif isinstance(node, list):
        yield "["
        for one in node:
            yield from _parts(one)
            yield ","
        yield "]"
    else:
        yield repr(node)
