# SPDX-License-Identifier: MIT
"""From a function to its traced twin: finds the source, rewrites it, compiles it, remembers it per code object."""

import ast
import inspect
import linecache
import sys
import types
from typing import Any

from ..errors import SourceError
from .rewrite import Rewriter, locate


class Rewritten:
    """What is kept of a code object: the twin's code, and the names that the body annotates without a value."""

    __slots__ = ("code", "declared", "original")

    def __init__(self, original: types.CodeType, code: types.CodeType, declared: dict[str, ast.expr]) -> None:
        self.original = original
        self.code = code
        self.declared = declared


_cache: dict[int, Rewritten] = {}  # by id of a code object that the entry keeps alive


def exec_source(text: str, globals: dict[str, Any], name: str = "<tilescale-source>") -> dict[str, Any]:
    """`exec` for program text that defines kernels: keeps the text where tracebacks and the rewriter find it."""
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    exec(compile(text, name, "exec"), globals)
    return globals


def _lines_of_file(function: types.FunctionType) -> list[str]:
    code = function.__code__
    lines = linecache.getlines(code.co_filename, function.__globals__)
    if not lines:
        raise SourceError(
            f"the source text of `{function.__qualname__}` is not available ({code.co_filename!r}): kernels are read "
            "from source. Put it in a file or a notebook cell; for text that is passed to exec(), use "
            "T.exec_source(text, globals), which registers the text and executes it"
        )
    return lines


def _last_line(code: types.CodeType) -> int:
    """The last line that the byte code of a function and its inner functions names."""
    last, open_codes = code.co_firstlineno, [code]
    while open_codes:
        inner = open_codes.pop()
        open_codes += [c for c in inner.co_consts if isinstance(c, types.CodeType)]
        if hasattr(inner, "co_positions"):
            ends = (end or 0 for _, end, _, _ in inner.co_positions())
        else:
            ends = (line or 0 for _, _, line in inner.co_lines())
        last = max(last, *ends, last)
    return last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _end_line(lines: list[str], code: types.CodeType) -> int:
    """One past the last line of the function. Statements without byte code (a bare annotation) follow the last line
    that the byte code names: they are indented deeper than the definition."""
    end, depth = _last_line(code), _indent(lines[code.co_firstlineno - 1])
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > depth):
        end += 1
    return end


def _find_definition(tree: ast.Module, wrapped: bool) -> ast.stmt | None:
    body = tree.body
    if wrapped and body and isinstance(body[0], ast.If):
        body = body[0].body
    return body[0] if body else None


def parse(function: types.FunctionType) -> ast.FunctionDef:
    """The definition of `function`, its nodes at their lines of the file."""
    code, lines = function.__code__, _lines_of_file(function)
    first = code.co_firstlineno - 1
    if first >= len(lines):
        raise _moved(code)
    wrapped = lines[first][:1] in " \t"  # indented text is parsed under `if 1:`, columns stay right
    node = None
    for whole_block in (False, True):
        body = inspect.getblock(lines[first:]) if whole_block else lines[first : _end_line(lines, code)]
        text = ("if 1:\n" if wrapped else "") + "".join(body)
        try:
            node = _find_definition(ast.parse(text), wrapped)
        except SyntaxError:
            continue
        break
    if isinstance(node, ast.AsyncFunctionDef):
        raise SyntaxError("`async def` cannot be traced", (code.co_filename, code.co_firstlineno, 1, None))
    if not isinstance(node, ast.FunctionDef) or node.name != code.co_name:
        raise _moved(code)
    ast.increment_lineno(node, first - (1 if wrapped else 0))
    return node


def _moved(code: types.CodeType) -> SourceError:
    return SourceError(
        f"line {code.co_firstlineno} of {code.co_filename} no longer defines `{code.co_name}` "
        "(a lambda, or the file changed after it was imported)"
    )


def _shell(node: ast.FunctionDef, free: tuple[str, ...], class_name: str | None) -> ast.Module:
    """`node` inside a function that has its free names, and inside its class so that `self.__x` is mangled."""
    inner: ast.stmt = node
    if class_name is not None:
        inner = ast.ClassDef(class_name, [], [], [node], [])
    names: list[ast.expr] = [ast.Name(n, ast.Store()) for n in (*free, "__t__")]
    no_args = ast.arguments([], [], None, [], [], None, [])
    outer = ast.FunctionDef("__shell", no_args, [ast.Assign(names, ast.Constant(None)), inner], [])
    if sys.version_info >= (3, 12):
        outer.type_params = []
        if isinstance(inner, ast.ClassDef):
            inner.type_params = []
    module = ast.Module([outer], [])
    for made in (outer, inner):
        if not hasattr(made, "lineno"):
            made.lineno = made.end_lineno = node.lineno
            made.col_offset = made.end_col_offset = node.col_offset
    locate(module, outer)
    return module


def _find_code(code: types.CodeType, path: list[str]) -> types.CodeType:
    for name in path:
        code = next(c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == name)
    return code


def _class_of(function: types.FunctionType) -> str | None:
    """The class in whose body a function was defined, if its names need mangling."""
    code = function.__code__
    mangled = any(n.startswith("_") and "__" in n[1:] for n in code.co_names + code.co_varnames + code.co_freevars)
    parts = function.__qualname__.split(".")
    return parts[-2] if mangled and len(parts) > 1 and parts[-2] != "<locals>" else None


def rewritten(function: types.FunctionType) -> Rewritten:
    code = function.__code__
    entry = _cache.get(id(code))
    if entry is None:
        node = parse(function)
        rewriter = Rewriter(code.co_filename)
        rewriter.function(node, outermost=True)
        class_name = _class_of(function)
        shell = compile(_shell(node, code.co_freevars, class_name), code.co_filename, "exec", dont_inherit=True)
        path = ["__shell", *([class_name] if class_name else []), code.co_name]
        entry = _cache[id(code)] = Rewritten(code, _find_code(shell, path), rewriter.declared)
    return entry


def twin(function: types.FunctionType, hooks: Any) -> types.FunctionType:
    """The traced twin: same file and lines, globals, defaults and closure cells."""
    entry = rewritten(function)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells["__t__"] = types.CellType(hooks)
    closure = tuple(cells[name] for name in entry.code.co_freevars)
    made = types.FunctionType(entry.code, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__, made.__qualname__ = function.__kwdefaults__, function.__qualname__
    return made
