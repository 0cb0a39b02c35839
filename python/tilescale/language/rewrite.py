# SPDX-License-Identifier: MIT
"""Turns the constructs that Python cannot overload into calls of the hooks (`__t__`).

Operators, calls, subscripts, stores to elements, comprehensions, `try` and imports stay as the user wrote them.
"""

import ast
from collections.abc import Iterable
from typing import Any

from .scan import NameScan, breaks, outer_names

_AUGMENTED = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.BitOr: "or_",
    ast.BitXor: "xor",
    ast.BitAnd: "and_",
    ast.MatMult: "matmul",
}
_COMPARISONS = {
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.In: "in",
    ast.NotIn: "notin",
    ast.Is: "is",
    ast.IsNot: "isnot",
}
_REWRITE_THEMSELVES = frozenset(("macro", "prim_func", "inline", "jit"))
_FIRST, _SECOND, _STAGED = 1, 2, 4  # the bits of hooks.if_


def _read(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _write(name: str) -> ast.Name:
    return ast.Name(name, ast.Store())


def _const(x: Any) -> ast.Constant:
    return ast.Constant(x)


def _tuple(elements: Iterable[ast.expr]) -> ast.Tuple:
    return ast.Tuple(list(elements), ast.Load())


def _reads(names: Iterable[str]) -> ast.Tuple:
    return _tuple(map(_read, names))


def _hook(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(_read("__t__"), name, ast.Load()), list(args), [])


def _unbound() -> ast.Attribute:
    return ast.Attribute(_read("__t__"), "UNBOUND", ast.Load())


def _lazy(body: ast.expr) -> ast.Lambda:
    return ast.Lambda(ast.arguments([], [], None, [], [], None, []), body)


def _has_bit(name: str, bit: int) -> ast.BinOp:
    return ast.BinOp(_read(name), ast.BitAnd(), _const(bit))


def _decorator_name(node: ast.expr) -> str | None:
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)


def _set_place(node: Any, like: Any) -> None:
    node.lineno = node.end_lineno = like.lineno
    node.col_offset = node.end_col_offset = like.col_offset


def locate(node: ast.AST, parent: ast.AST) -> None:
    """Gives fresh nodes the *first* line of their statement as a one-line range: CPython reports a call that is
    spread over lines at the last line of its attribute."""
    for child in ast.iter_child_nodes(node):
        if "lineno" in child._attributes and not hasattr(child, "lineno"):
            _set_place(child, parent)
        locate(child, child if hasattr(child, "lineno") else parent)


def parameters(args: ast.arguments) -> list[ast.arg]:
    rest = [a for a in (args.vararg, args.kwarg) if a is not None]
    return args.posonlyargs + args.args + args.kwonlyargs + rest


class Rewriter(ast.NodeTransformer):
    """Rewrites one function. `declared` collects the names that the body annotates without a value."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.declared: dict[str, ast.expr] = {}
        self._count = 0
        self._depth = 0
        self._outer_names: list[set[str]] = [set()]
        self._globals: list[set[str]] = [set()]

    def _temporary(self, prefix: str) -> str:
        self._count += 1
        return f"__{prefix}{self._count}"

    def _refuse(self, node: Any, what: str) -> SyntaxError:
        line = node.lineno
        return SyntaxError(f"{what} cannot be traced", (self.file, line, node.col_offset + 1, None))

    def _block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for statement in statements:
            made = self.visit(statement)
            for fresh in made if isinstance(made, list) else [made]:
                if not hasattr(fresh, "lineno"):
                    _set_place(fresh, statement)
                out.append(fresh)
        return out

    def _scoped(self, nodes: list[Any]) -> list[str]:
        """The local names that these statements bind."""
        outer = self._outer_names[-1]
        return [n for n in NameScan(nodes).bound if n not in outer and not n.startswith("__")]

    def _assign_all(self, names: list[str], new: ast.expr) -> list[ast.stmt]:
        return [ast.Assign([ast.Tuple([_write(n) for n in names], ast.Store())], new)] if names else []

    # Control

    def visit_If(self, node: ast.If) -> Any:
        """Both arms start from the names before the `if`; `merge` decides what the names mean after it."""
        k, before, first = (self._temporary(p) for p in "kss")
        names = self._scoped(node.body + node.orelse)

        def save(to: str) -> list[ast.stmt]:
            return [ast.Assign([_write(to)], _reads(names))] if names else []

        out: list[ast.stmt] = [ast.Assign([_write(k)], _hook("if_", self.visit(node.test)))]
        out += save(before)
        out.append(ast.If(_has_bit(k, _FIRST), self._block(node.body), []))
        out += save(first)
        second: ast.expr = ast.IfExp(_has_bit(k, _STAGED), _read(before), _reads(names))
        if node.orelse:
            enter = self._assign_all(names, _read(before))
            enter.append(ast.Expr(_hook("else_", _read(k))))
            out.append(ast.If(_has_bit(k, _SECOND), enter + self._block(node.orelse), []))
            second = _reads(names)
        out.append(ast.Expr(_hook("endif_", _read(k))))
        merged = _hook("merge", _read(k), _const(tuple(names)), _read(before), _read(first), second)
        return out + self._assign_all(names, merged)

    def _loop(
        self, handle: str, nodes: list[Any], opened: ast.expr, body: ast.stmt, carried: list[str]
    ) -> list[ast.stmt]:
        """`handle = opened; body`, with the names that `nodes` bind passed through `leave`."""
        names = self._scoped(nodes)
        out: list[ast.stmt] = [ast.Assign([_write(handle)], opened)]
        if not names:
            return [*out, body]
        before = self._temporary("s")
        out += [ast.Assign([_write(before)], _reads(names)), body]
        left = _hook("leave", _read(handle), _const(tuple(names)), _const(tuple(carried)), _read(before), _reads(names))
        return out + self._assign_all(names, left)

    def _check_else(self, node: ast.For | ast.While) -> None:
        if node.orelse and breaks(node):
            raise self._refuse(node, "a loop with `else` and `break`")

    def visit_For(self, node: ast.For) -> Any:
        self._check_else(node)
        target, iterable = node.target, self.visit(node.iter)
        source = node.iter
        if (
            isinstance(source, ast.Call)
            and isinstance(source.func, ast.Name)
            and source.func.id == "range"
            and not source.keywords
        ):
            iterable = _hook("range_", iterable.func, *iterable.args)
        names: Any = None
        if isinstance(target, ast.Name):
            names = target.id
        elif isinstance(target, (ast.Tuple, ast.List)):
            names = tuple(e.id if isinstance(e, ast.Name) else "_" for e in target.elts)
        handle = self._temporary("k")
        scan = NameScan(node.body)
        own = {x.id for x in ast.walk(target) if isinstance(x, ast.Name)}
        carried = [n for n in scan.bound if n in scan.early and n not in own]
        loop = ast.For(self.visit(target), _read(handle), self._block(node.body), self._block(node.orelse))
        return self._loop(handle, [node], _hook("loop", iterable, _const(names)), loop, carried)

    def visit_While(self, node: ast.While) -> Any:
        self._check_else(node)
        handle = self._temporary("k")
        scan = NameScan(node.body)
        carried = [n for n in scan.bound if n in scan.early]
        opened = _hook("while_", _lazy(self.visit(node.test)))
        once = _write(self._temporary("v"))
        loop = ast.For(once, _read(handle), self._block(node.body), self._block(node.orelse))
        return self._loop(handle, node.body, opened, loop, carried)

    def visit_With(self, node: ast.With) -> Any:
        items = []
        for item in node.items:
            target = item.optional_vars
            names: Any = None
            if isinstance(target, ast.Name):
                names = target.id
            elif isinstance(target, (ast.Tuple, ast.List)):
                names = tuple(getattr(e, "id", "_") for e in target.elts)
            items.append(ast.withitem(_hook("with_", self.visit(item.context_expr), _const(names)), target))
        return ast.With(items, self._block(node.body))

    def visit_Break(self, node: ast.Break) -> Any:
        return ast.If(_hook("jump", _const("break")), [ast.Break()], [])

    def visit_Continue(self, node: ast.Continue) -> Any:
        return ast.If(_hook("jump", _const("continue")), [ast.Continue()], [])

    def visit_Return(self, node: ast.Return) -> Any:
        result = self.visit(node.value) if node.value else _const(None)
        return ast.Return(_hook("ret" if self._depth == 0 else "ret_inner", result))

    def visit_Assert(self, node: ast.Assert) -> Any:
        message = self.visit(node.msg) if node.msg else _const("Assertion failed")
        return ast.Expr(_hook("assert_", self.visit(node.test), _lazy(message)))

    def visit_Expr(self, node: ast.Expr) -> Any:
        call = self.visit(node.value)
        return ast.Expr(_hook("expr", call) if isinstance(call, ast.Call) else call)

    def visit_Delete(self, node: ast.Delete) -> Any:
        out: list[ast.stmt] = []
        for target in node.targets:
            if isinstance(target, ast.Name):
                out.append(ast.Assign([_write(target.id)], _hook("unbind", _read(target.id))))
            else:
                out.append(ast.Delete([self.visit(target)]))
        return out

    # Names

    def _previous(self, name: str) -> ast.expr:
        return _const(None) if name in self._globals[-1] else _read(name)

    def _store(self, target: ast.expr, new: ast.expr) -> list[ast.stmt]:
        """`target = new`."""
        if isinstance(target, ast.Name):
            bound = _hook("bind", _const(target.id), self._previous(target.id), new)
            return [ast.Assign([target], bound)]
        if isinstance(target, (ast.Tuple, ast.List)):
            return self._store_elements(target, new)
        if isinstance(target, ast.Attribute):
            return [ast.Expr(_hook("set_attr", self.visit(target.value), _const(target.attr), new))]
        return [ast.Assign([self.visit(target)], new)]

    def _store_elements(self, target: ast.Tuple | ast.List, new: ast.expr) -> list[ast.stmt]:
        """All elements go to temporaries before any target is stored to, so that swaps are right."""
        temporaries = [self._temporary("u") for _ in target.elts]
        into: list[ast.expr] = []
        for name, element in zip(temporaries, target.elts, strict=True):
            starred = isinstance(element, ast.Starred)
            into.append(ast.Starred(_write(name), ast.Store()) if starred else _write(name))
        out: list[ast.stmt] = [ast.Assign([ast.Tuple(into, ast.Store())], _hook("unpack", new))]
        for name, element in zip(temporaries, target.elts, strict=True):
            place = element.value if isinstance(element, ast.Starred) else element
            out += self._store(place, _read(name))
        return out

    def visit_Assign(self, node: ast.Assign) -> Any:
        new = self.visit(node.value)
        if len(node.targets) == 1:
            return self._store(node.targets[0], new)
        once = self._temporary("u")
        bound = _hook("bind", _const("_"), _const(None), new)
        out: list[ast.stmt] = [ast.Assign([_write(once)], bound)]
        for target in node.targets:
            out += self._store(target, _read(once))
        return out

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is not None:
            return self._store(node.target, self.visit(node.value))
        if not isinstance(node.target, ast.Name):
            return ast.Pass()
        name = node.target.id
        if self._depth == 0:
            self.declared.setdefault(name, node.annotation)
        spec = _lazy(self.visit(node.annotation))
        declared = _hook("annotate", _const(name), self._previous(name), spec)
        return ast.Assign([node.target], declared)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        op, new, target = _const(_AUGMENTED[type(node.op)]), self.visit(node.value), node.target
        if isinstance(target, ast.Name):
            updated = _hook("aug", _const(target.id), self._previous(target.id), op, new)
            return ast.Assign([target], updated)
        if isinstance(target, ast.Subscript):
            return ast.Expr(_hook("aug_item", self.visit(target.value), self._index(target.slice), op, new))
        return ast.Expr(_hook("aug_attr", self.visit(target.value), _const(target.attr), op, new))

    def _index(self, index: ast.expr) -> ast.expr:
        """The index of a subscript as an object."""
        if isinstance(index, ast.Slice):
            bounds = [self.visit(x) if x else _const(None) for x in (index.lower, index.upper, index.step)]
            return ast.Call(ast.Attribute(_read("__t__"), "slice_", ast.Load()), bounds, [])
        if isinstance(index, ast.Tuple):
            return _tuple(map(self._index, index.elts))
        return self.visit(index)

    # Lazy operators

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        result = self.visit(node.values[-1])
        for operand in reversed(node.values[:-1]):
            result = _hook(name, self.visit(operand), _lazy(result))
        return result

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        self.generic_visit(node)
        return _hook("not_", node.operand) if isinstance(node.op, ast.Not) else node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return _hook("ifexp", self.visit(node.test), _lazy(self.visit(node.body)), _lazy(self.visit(node.orelse)))

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        if len(node.ops) == 1:
            return node
        rest: list[ast.expr] = []
        for op, operand in zip(node.ops, node.comparators, strict=True):
            rest += [_const(_COMPARISONS[type(op)]), _lazy(operand)]
        return _hook("chain", node.left, *rest)

    # Scopes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        if any(_decorator_name(d) in _REWRITE_THEMSELVES for d in node.decorator_list):
            return node
        self._depth += 1
        node = self.function(node)
        self._depth -= 1
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        return node

    def _no_coroutines(self, node: Any) -> Any:
        raise self._refuse(node, f"`{_KEYWORDS[type(node)]}`")

    visit_AsyncFunctionDef = _no_coroutines
    visit_AsyncFor = _no_coroutines
    visit_AsyncWith = _no_coroutines
    visit_Await = _no_coroutines
    visit_Yield = _no_coroutines
    visit_YieldFrom = _no_coroutines

    def function(self, node: ast.FunctionDef, outermost: bool = False) -> ast.FunctionDef:
        """Rewrites the body. Of the outermost function decorators, annotations and defaults are dropped: the
        traced twin gets the original default objects."""
        params = [a.arg for a in parameters(node.args)]
        global_names, outer = outer_names(node)
        self._outer_names.append(outer)
        self._globals.append(global_names)
        head = node.body[:1] if ast.get_docstring(node, clean=False) is not None else []
        scopes = [s for s in node.body if isinstance(s, (ast.Global, ast.Nonlocal))]
        rest = [s for s in node.body[len(head) :] if s not in scopes]
        fresh = [n for n in NameScan(node.body).bound if n not in params and n not in outer]
        start: list[ast.stmt] = [ast.Assign([_write(n) for n in fresh], _unbound())] if fresh else []
        if outermost:
            start += [ast.Assign([_write(p)], _hook("arg", _const(p), _read(p))) for p in params]
            self._strip(node)
        node.body = [*head, *scopes, *start, *self._block(rest)] or [ast.Pass()]
        self._outer_names.pop()
        self._globals.pop()
        return node

    def _strip(self, node: ast.FunctionDef) -> None:
        node.decorator_list, node.returns = [], None
        for param in parameters(node.args):
            param.annotation = None
        node.args.defaults = [_const(None) for _ in node.args.defaults]
        node.args.kw_defaults = [d and _const(None) for d in node.args.kw_defaults]


_KEYWORDS = {
    ast.AsyncFunctionDef: "async def",
    ast.AsyncFor: "async for",
    ast.AsyncWith: "async with",
    ast.Await: "await",
    ast.Yield: "yield",
    ast.YieldFrom: "yield from",
}
