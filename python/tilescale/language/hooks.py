# SPDX-License-Identifier: MIT
"""What rewritten functions call (`__t__.…`): decides what is Python and what is kernel code,
and hands the latter to the builder."""

import operator
import sys
import warnings
from collections.abc import Callable
from typing import Any

from .._ffi import Object, builder
from . import tracer
from .buffers import Buffer, Cell, Ref, Region
from .expr import Const, Expr, Load, Operators, Var, is_value, load, op, text, value
from .frames import Frame, Loop, OnceLoop, range_dims
from .launch import IndexLoop
from .parts import branches
from .poison import UNBOUND, Poison
from .specs import declare

_IN_PLACE = {"and_": "iand", "or_": "ior"}
_SYMBOLS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "lshift": "<<",
    "rshift": ">>",
    "or_": "|",
    "xor": "^",
    "and_": "&",
    "matmul": "@",
}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "is": operator.is_,
    "isnot": operator.is_not,
    "in": lambda a, b: a in b,
    "notin": lambda a, b: a not in b,
}
FIRST, SECOND, STAGED = 1, 2, 4


def condition(c: Any) -> Any:
    """A Python bool if `c` is known now, else the boolean expression."""
    if isinstance(c, Operators):
        e = c._as_value()
        if type(e) is Const:
            return bool(e.value)
        kind = e.dtype
        if kind == "bool":
            return e
        if kind == "handle":
            raise TypeError(f"`{text(e)}` is a pointer; use T.isnullptr to test it")
        return op("ne", [e, 0])
    if isinstance(c, Poison):
        c.die()
    return bool(c)


def warn(message: str) -> None:
    warnings.warn(message, stacklevel=_user_depth())


def _user_depth() -> int:
    """The stack level, as `warnings` counts, of the innermost frame that is the user's."""
    level, frame = 1, sys._getframe(1)
    while frame is not None and tracer.is_own_file[frame.f_code.co_filename]:
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return level


def _is_constant(v: Any) -> bool:
    """Python data without kernel values: it means the same wherever it was bound."""
    if isinstance(v, (int, float, str, bool, type(None))):
        return True
    return type(v) in (tuple, list) and all(map(_is_constant, v))


def _same_constant(x: Any, y: Any) -> bool:
    return type(x) is type(y) and _is_constant(x) and x == y


def _escaped(name: str, v: Any) -> Any:
    """What a name means after the region that rebound it."""
    if _is_constant(v) or isinstance(v, (Operators, Object, tuple, list)):
        return Poison(
            RuntimeError,
            f"Immutable variable `{name}` is used outside its defining region! It was bound inside a loop or branch "
            f"that has ended; declare `{name} = T.alloc_var(...)` before it and assign to that.",
        )
    return v


class Hooks:
    """One instance serves all functions; the state is the tracer's."""

    UNBOUND = UNBOUND
    slice_ = slice

    # Branches

    def if_(self, c: Any) -> int:
        """Bits: FIRST and SECOND say which arms to run, STAGED that both become kernel code."""
        c = condition(c)
        if isinstance(c, bool):
            return FIRST if c else SECOND
        tracer.current().begin_if(c)
        return FIRST | SECOND | STAGED

    def else_(self, k: int) -> None:
        if k & STAGED:
            tracer.current().begin_else()

    def endif_(self, k: int) -> None:
        if k & STAGED:
            tracer.current().close()

    def merge(self, k: int, names: Any, before: Any, first: Any, second: Any) -> Any:
        """The names after an `if`: those that differ between the arms of a staged one are lost."""
        if not k & STAGED:
            return second
        merged = []
        for name, x, y in zip(names, first, second, strict=True):
            kept = x is y or _same_constant(x, y)
            merged.append(y if kept else _escaped(name, x if y is UNBOUND else y))
        return merged

    # Loops

    def range_(self, function: Any, *args: Any) -> Any:
        if function is not range or tracer.active() is None:
            return function(*args)
        return Loop("serial", [range_dims(*args)])

    def loop(self, iterable: Any, names: Any) -> Any:
        if isinstance(iterable, (Operators, Buffer)):
            raise TypeError(
                f"Invalid for loop, got {text(iterable)}, expect one of the following: range, T.serial, T.grid, "
                "T.parallel, T.vectorized, T.unroll, T.thread_binding, or a Python iterable"
            )
        if not isinstance(iterable, Loop):
            iterable = Loop("python", items=iter(iterable))
        iterable.names = names
        return iterable

    def while_(self, test: Callable[[], Any]) -> Any:
        t = tracer.current()
        builder.begin_side(t.handle)
        c = condition(test())
        head = builder.end_side(t.handle)
        if c is True:
            raise RuntimeError(
                "Infinite while loop detected in TileLang: the condition is the Python constant True; a loop that "
                "ends must test a value of the kernel (T.alloc_var, a buffer element)"
            )
        if c is False:
            warn("the condition of this while loop is the Python constant False; its body is dropped")
            return OnceLoop(False)
        builder.begin_while(t.at())
        if head is not None:
            builder.splice(t.handle, head)
        builder.while_cond(t.handle, c)
        t.open("while")
        return OnceLoop(True)

    def jump(self, kind: str) -> bool:
        """True if Python itself should jump."""
        t = tracer.current()
        if t.loops and t.loops[-1][0] == "python":
            if len(t.regions) > t.loops[-1][1]:
                raise NotImplementedError(
                    f"`{kind}` of a Python loop (unrolled while tracing) under a condition of the kernel; "
                    "use T.serial or T.unroll for the loop"
                )
            return True
        t.jump(kind)
        return False

    def leave(self, k: Any, names: Any, carried: Any, before: Any, after: Any) -> Any:
        """The names after a loop: what a staged body bound does not leak, unless it is one Python constant."""
        if not k.staged:
            return after
        kept = []
        for name, x, y in zip(names, before, after, strict=True):
            if x is y:
                kept.append(y)
                continue
            if name in carried:
                self._carried(name, x, y)
            kept.append(y if _is_constant(y) else _escaped(name, y))
        return kept

    def _carried(self, name: str, x: Any, y: Any) -> None:
        """`name` is read before the body rebinds it: every iteration would see the first value."""
        constant = _is_constant(x) and not _same_constant(x, y)
        if not constant and not isinstance(x, Expr):
            return
        what = f"the Python value {x!r}" if constant else "immutable"
        message = (
            f"`{name}` is read before it is rebound in this loop, but it is {what}: every iteration sees the value "
            f"from before the loop. Use `{name} = T.alloc_var(...)` before the loop to carry a value."
        )
        if constant:
            raise RuntimeError(message)
        warn(message)

    # Lazy operators: statements that an operand emits become an If around them

    def _lazy(self, operand: Callable[[], Any]) -> tuple[Any, Any]:
        handle = tracer.current().handle
        builder.begin_side(handle)
        result = operand()
        return result, builder.end_side(handle)

    def ifexp(self, c: Any, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
        c = condition(c)
        if isinstance(c, bool):
            return first() if c else second()
        (x, x_side), (y, y_side) = self._lazy(first), self._lazy(second)
        if not is_value(x) or not is_value(y):
            raise TypeError(
                "both sides of a ternary with a kernel condition must be values, "
                f"got {type(x).__name__} and {type(y).__name__}"
            )
        return self._choose(c, value(x), x_side, value(y), y_side)

    def _choose(self, c: Any, x: Any, x_side: Any, y: Any, y_side: Any) -> Any:
        if x_side is None and y_side is None:
            return op("if", [c, x, y], [1, 2])
        return branches(c, x, x_side, y, y_side)

    def and_(self, a: Any, b: Callable[[], Any]) -> Any:
        return self._junction(a, b, True)

    def or_(self, a: Any, b: Callable[[], Any]) -> Any:
        return self._junction(a, b, False)

    def _junction(self, a: Any, b: Callable[[], Any], is_and: bool) -> Any:
        if not isinstance(a, (Operators, Buffer, Region)):
            return b() if bool(a) == is_and else a
        c = condition(a)
        if isinstance(c, bool):
            return b() if c == is_and else a
        operand, side = self._lazy(b)
        d = condition(operand)
        if side is not None:
            return self._choose(c, d, side, False, None) if is_and else self._choose(c, True, None, d, side)
        if isinstance(d, bool):
            return c if d == is_and else builder.const(d, None)
        return op("land" if is_and else "lor", [c, d])

    def not_(self, a: Any) -> Any:
        c = condition(a)
        return not c if isinstance(c, bool) else op("not", [c])

    def chain(self, a: Any, name: str, operand: Callable[[], Any], *rest: Any) -> Any:
        """`a < b < c`: each operand evaluated once, later ones only if the pairs before hold."""
        b = operand()
        pair = _COMPARE[name](a, b)
        return self.and_(pair, lambda: self.chain(b, *rest)) if rest else pair

    # Statements

    def assert_(self, c: Any, message: Callable[[], Any]) -> None:
        c = condition(c)
        if c is False:
            raise AssertionError(message())
        if c is not True:
            tracer.current().check("assert", c, str(message()))

    def expr(self, v: Any) -> None:
        """A call as a statement: `T.attr(...)` and the like open a region up to the end of the enclosing one."""
        if isinstance(v, Frame):
            v.__enter__()
            v.mark_bare()
        elif isinstance(v, Loop) and not isinstance(v, IndexLoop):
            warn("a loop constructor as a statement does nothing; write `for i in …`")

    def with_(self, manager: Any, names: Any) -> Any:
        if isinstance(manager, Frame):
            manager.names = names
        return manager

    def ret(self, v: Any) -> Any:
        self.ret_inner(v)
        t = tracer.current()
        if t.macros:
            if len(t.regions) > t.macros[-1].depth:
                raise NotImplementedError(
                    "In tilelang macro, return from control flow is not supported yet. Declare "
                    "`r = T.alloc_var(dtype)` before it, assign to r inside, and return r after it."
                )
            return v
        results = list(v) if isinstance(v, (tuple, list)) else [] if v is None else [v]
        for r in results:
            if not any(r is known for known in t.outputs):
                raise RuntimeError(f"Only tensor allocated from `T.empty` can be returned in a prim_func, got {r!r}")
        if results and len(results) != len(t.outputs):
            raise RuntimeError(f"Not all tensor from `T.empty` are returned, only got {results}")
        t.returned = len(results)
        return v

    def ret_inner(self, v: Any) -> Any:
        for x in v if type(v) is tuple else (v,):
            if x is UNBOUND:
                UNBOUND.die()
        return v

    # Names

    def bind(self, name: str, previous: Any, new: Any) -> Any:
        """`name = new`: a variable of the kernel is stored to, another name is bound."""
        fresh = type(new) is Cell and not new.named
        if type(previous) in (Cell, Ref) and is_value(new) and not fresh:
            if previous is not new:
                previous.store(new)
            return previous
        if isinstance(new, Operators):
            return self._bind_value(name, new)
        if type(new) is Buffer:
            tracer.current().set_name(new, name)
        elif type(new) is Region:
            return self._snapshot_bounds(new)
        elif type(new) is IndexLoop:  # tx = T.thread_binding(...)
            return self.bind(name, None, new.index())
        elif isinstance(new, Frame):
            return self._bind_frame(name, new)
        elif type(new) in (tuple, list):
            return type(new)(map(self.snapshot, new))
        elif new is UNBOUND:
            UNBOUND.die()
        return new

    def _bind_value(self, name: str, new: Any) -> Any:
        t = tracer.current()
        if type(new) is Cell:
            if new.named:
                return t.bind(name, new.load())
            t.set_name(new.buffer, name)
            new.named = True
            return new
        e = new._as_value()
        if type(e) is Var:
            t.set_name(e, name)
            return e
        if type(e) is Const:
            return e.value if e.dtype == "int32" else e
        if e.dtype == "handle" or (t.kernel is None and not builder.reads(e)):
            return e
        return t.bind(name, e)

    def _bind_frame(self, name: str, frame: Frame) -> Any:
        """Open to the end of the enclosing region."""
        frame.names = name
        made = frame.__enter__()
        frame.mark_bare()
        return self.bind(name, None, made)

    def snapshot(self, v: Any) -> Any:
        """A value put where no name is: evaluated here if it reads memory."""
        if type(v) is Cell and not v.named:
            return v
        if isinstance(v, Operators):
            e = v._as_value()
            return tracer.current().bind("", e) if builder.reads(e) else v
        if v is UNBOUND:
            UNBOUND.die()
        return v

    def _snapshot_bounds(self, region: Region) -> Region:
        bounds = region.region
        if not any(isinstance(b, Expr) and builder.reads(b) for b, _ in bounds):
            return region
        begin = [self.snapshot(b) for b, _ in bounds]
        return builder.region(region.buffer, begin, [e for _, e in bounds])

    def set_attr(self, owner: Any, name: str, new: Any) -> None:
        previous = getattr(owner, name, None)
        fresh = type(new) is Cell and not new.named
        if isinstance(previous, (Cell, Ref)) and is_value(new) and not fresh:
            previous.store(new)
        else:
            setattr(owner, name, self.snapshot(new))

    def unbind(self, now: Any) -> Poison:
        """`del name`."""
        if now is UNBOUND:
            UNBOUND.die()
        return UNBOUND

    def unpack(self, v: Any) -> Any:
        return tuple(map(self.snapshot, v)) if isinstance(v, (tuple, list)) else v

    def aug(self, name: str, previous: Any, op: str, v: Any) -> Any:
        """`name op= v`."""
        if type(previous) in (Cell, Ref):
            previous.store(getattr(operator, op)(previous, v))
            return previous
        if type(previous) is Buffer:
            raise RuntimeError(
                f"Attempting to update buffer `{previous.name}` using augmented assignment. "
                f"Please use slice assignment, e.g. `{previous.name}[0] += value` instead."
            )
        if isinstance(previous, Operators) or isinstance(v, Operators):
            return self.bind(name, None, getattr(operator, op)(previous, v))
        return getattr(operator, _IN_PLACE.get(op, "i" + op))(previous, v)

    def aug_item(self, owner: Any, index: Any, op: str, v: Any) -> None:
        """`owner[index] op= v`, the index evaluated once."""
        place = owner[index]
        if type(owner) is Buffer:
            full = owner._full_index(index)
            if any(type(x) is slice for x in full):
                raise TypeError(
                    f"`{text(place)} {_SYMBOLS[op]}= …` on a region is not supported; write a T.Parallel loop over it"
                )
            at = [self.snapshot(value(x)) for x in full]
            tracer.current().store(owner, at, value(getattr(operator, op)(load(owner, at), v)))
        elif type(place) in (Cell, Ref):
            place.store(getattr(operator, op)(place, v))
        else:
            owner[index] = self.aug("_", place, op, v)

    def aug_attr(self, owner: Any, name: str, op: str, v: Any) -> None:
        new = self.aug(name, getattr(owner, name), op, v)
        if type(new) not in (Cell, Ref):
            setattr(owner, name, new)

    # Parameters

    def annotate(self, name: str, now: Any, spec: Callable[[], Any]) -> Any:
        """`x: T.Tensor[...]` in the body declares a parameter that the caller passes."""
        t = tracer.current()
        if now is not None and t.undeclared.get(name) is now:
            del t.undeclared[name]
            return declare(t, name, spec())
        return now

    def arg(self, name: str, v: Any) -> Any:
        """A parameter at entry: macro arguments are bound here, left to right."""
        t = tracer.current()
        if not t.macros:
            return v
        if name in t.macros[-1].references:
            return self._reference(name, v)
        if isinstance(v, Operators) and type(v) is not Var:
            e = v._as_value()
            if type(e) is Const or (e.dtype == "handle" and not builder.reads(e)):
                return e
            return t.bind(name, e)
        return v

    def _reference(self, name: str, v: Any) -> Ref:
        place = v.place if type(v) is Ref else v
        if type(place) is Var:
            place = tracer.current().let(place)
        if type(place) is Load:
            index = [self.snapshot(x) for x in place.index]
            return Ref(load(place.buffer, index))
        if type(place) not in (Cell, Region):
            raise ValueError(
                f"To pass as reference, argument `{name}` is expected to be a variable or a buffer region, "
                f"but got {v!r:.80}"
            )
        return Ref(place)


HOOKS = Hooks()
