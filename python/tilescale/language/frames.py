# SPDX-License-Identifier: MIT
"""Regions that the user opens: loops (`for i in T.…`) and frames (`with T.…`)."""

from collections.abc import Iterable, Iterator
from typing import Any

from .._ffi import builder
from . import tracer
from .expr import Operators, Var, op, value


def integer(x: Any) -> Any:
    """A value for an extent: a Python integer where it is one, else an expression."""
    if isinstance(x, bool):
        raise TypeError(f"an extent must be an integer, got {x}")
    if not isinstance(x, Operators) and hasattr(x, "__index__"):
        return x.__index__()
    return value(x)


def range_dims(start: Any, stop: Any = None, step: Any = 1) -> tuple[Any, Any, Any]:
    """(begin, end, step) from the arguments of `range`."""
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    if not isinstance(step, Operators) and step == 0:
        raise ValueError("Invalid stepped serial: step must be non-zero")
    return integer(start), integer(stop), integer(step)


def pairs(annotations: Any) -> list[list[Any]]:
    """`annotations={…}` as the builder takes it."""
    return [[str(key), plain(x)] for key, x in dict(annotations or {}).items()]


def plain(x: Any) -> Any:
    """Data of an annotation: nested lists of numbers, strings, values, layouts as their specification."""
    if isinstance(x, (tuple, list)):
        return [plain(y) for y in x]
    if isinstance(x, dict):
        return [[str(k), plain(y)] for k, y in x.items()]
    spec = getattr(x, "layout_spec", None)
    return spec() if spec is not None else x


class Loop:
    """What `T.serial`, `T.Parallel`, … return; with `items`, a Python iterable that is unrolled while tracing.

    Iterating a staged loop opens it, yields its variables once, and closes it. The hooks set `names` to the names
    of the target.
    """

    def __init__(
        self,
        kind: str,
        dims: Any = (),
        hints: list[Any] | None = None,
        items: Iterator[Any] | None = None,
        single: bool = True,
    ) -> None:
        self.kind = kind
        self.dims = list(dims)
        self.hints = [[]] if hints is None else hints
        self.items = items
        self.single = single
        self.names: Any = None

    @property
    def staged(self) -> bool:
        return self.items is None

    def name_list(self) -> list[str | None]:
        """One name a dimension; None where the user gave none."""
        given = self.names if isinstance(self.names, tuple) else (self.names,)
        names: list[str | None] = [None if n == "_" else n for n in given]
        return (names + [None] * len(self.dims))[: len(self.dims)]

    def __iter__(self) -> Iterator[Any]:
        t = tracer.current("a loop of the kernel")
        if self.items is not None:
            t.loops.append(("python", len(t.regions)))
            yield from self.items
            t.loops.pop()
            return
        depth = len(t.regions)
        variables = self.begin(t)
        t.loops.append((self.kind, depth))
        yield variables[0] if self.single else tuple(variables)
        t.loops.pop()
        while len(t.regions) > depth:
            t.close()

    def begin(self, t: tracer.Tracer) -> list[Var]:
        if self.kind == "parallel":
            extents = [end for _, end, _ in self.dims]
            variables = builder.begin_parallel(t.at(), extents, self.hints, self.name_list())
            t.open("parallel")
            return list(variables)
        made = []
        for (begin, end, step), name in zip(self.dims, self.name_list(), strict=True):
            made.append(builder.begin_for(t.at(), self.kind, begin, end, step, self.hints, name))
            t.open("for")
        return made

    def __enter__(self) -> Any:
        raise TypeError("a loop is written `for i in T.…`, not `with`")

    def __exit__(self, error_type: Any, error: Any, traceback: Any) -> None:
        """Only with `__enter__` does Python ask it."""


class PersistentLoop(Loop):
    """`T.Persistent`: the tiles of a grouped domain, dealt to `wave_size` workers."""

    def __init__(self, domain: Iterable[Any], wave_size: Any, index: Any, group_size: int, hints: list[Any]) -> None:
        super().__init__("persistent", hints=hints, single=False)
        self.domain = [integer(d) for d in domain]
        self.wave_size = integer(wave_size)
        self.index = value(index)
        self.group_size = group_size
        self.dims = [(0, d, 1) for d in self.domain]

    def begin(self, t: tracer.Tracer) -> list[Var]:
        last = self.domain[-1]
        group = max(1, min(self.group_size, last)) if isinstance(last, int) else self.group_size
        space = [_ceildiv(last, group), *self.domain[:-1], group]
        total: Any = 1
        for extent in space:
            total = total * extent
        waves = _ceildiv(total, self.wave_size)
        wave = builder.begin_for(t.at(), "serial", 0, waves, 1, self.hints, "wave")
        t.open("for")
        linear = t.bind("tile", wave * self.wave_size + self.index)
        rest, places = linear, []
        for extent in reversed(space[1:]):
            places.append(rest % extent)
            rest = rest // extent
        *outer, inner = reversed(places)
        coordinates = [*outer, rest * group + inner]
        names = [name or f"tile_{k}" for k, name in enumerate(self.name_list())]
        bound = [t.bind(name, c) for name, c in zip(names, coordinates, strict=True)]
        t.begin_if(op("land", [linear < total, bound[-1] < last]))
        return bound


def _ceildiv(a: Any, b: Any) -> Any:
    return (a + b - 1) // b


class OnceLoop:
    """The body of a staged `while`: runs once, or not at all when the condition is constant false."""

    def __init__(self, staged: bool) -> None:
        self.staged = staged

    def __iter__(self) -> Iterator[None]:
        if self.staged:
            t = tracer.current()
            t.loops.append(("while", len(t.regions)))
            yield None
            t.loops.pop()
            t.close()


class Frame:
    """A `with` construct of the dialect. As a bare statement it stays open to the end of the enclosing region."""

    names: Any = None

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, error_type: Any, error: Any, traceback: Any) -> None:
        if error_type is None:
            tracer.current().close()

    def mark_bare(self) -> None:
        tracer.current().mark_bare()


class GroupFrame(Frame):
    """`T.ws(*ids)`: the body is for these warpgroups."""

    WARPGROUP = 128

    def __init__(self, ids: tuple[int, ...]) -> None:
        if not ids:
            raise ValueError("T.ws needs at least one warpgroup index")
        self.ids = sorted({int(i) for i in ids})

    def __enter__(self) -> None:
        t = tracer.current("T.ws")
        first, last = self.ids[0], self.ids[-1]
        if last - first + 1 == len(self.ids):
            count = len(self.ids) * self.WARPGROUP
            builder.begin_group(t.at(), first * self.WARPGROUP, count)
            t.open("group")
            return
        of_thread = t.kernel.linear_thread() // self.WARPGROUP
        members = [of_thread == i for i in self.ids]
        chosen = members[0]
        for member in members[1:]:
            chosen = op("lor", [chosen, member])
        t.begin_if(chosen)


class LabelFrame(Frame):
    """`T.ws_op(id)`: names the statements inside. Does not scope names."""

    def __init__(self, label: str) -> None:
        self.label = label

    def __enter__(self) -> None:
        t = tracer.current("T.ws_op")
        builder.label(t.handle, self.label)
        t.open("label")


class AttributeFrame(Frame):
    """`T.attr(node, key, value)`: a note on the statements inside."""

    def __init__(self, key: str, attribute: Any) -> None:
        self.key = key
        self.attribute = attribute

    def __enter__(self) -> None:
        t = tracer.current("T.attr")
        t.annotate("attr", [self.key, plain(self.attribute)])
        t.open("note")


class WhileFrame(Frame):
    """`with T.While(condition)`: the condition is read before every iteration."""

    def __init__(self, condition: Any) -> None:
        self.condition = value(condition)

    def __enter__(self) -> None:
        t = tracer.current("T.While")
        builder.begin_while(t.at())
        builder.while_cond(t.handle, self.condition)
        t.open("while")
