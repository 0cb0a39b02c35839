# SPDX-License-Identifier: MIT
"""Communication between ranks: typed signals, moves of tiles, waits."""

import enum
from collections.abc import Callable
from typing import Any

from . import expr, ops, tracer
from .buffers import Cell


class WaitScope(enum.IntEnum):
    SYS = 0
    GPU = 1


class WaitSemantics(enum.IntEnum):
    ACQUIRE = 0
    VOLATILE = 1


class Signal:
    """One element of a tensor through which ranks signal: counts up, starts at 0.

    T.notify (and T.put with `signal=`) publishes, T.wait consumes: release and acquire for the whole block."""

    __slots__ = ("place",)

    def __init__(self, place: Any) -> None:
        self.place = place

    def __repr__(self) -> str:
        return f"T.signal({self.place})"


def signal(buf: Any, index: Any = 0) -> Signal:
    """The signal in element `index` of `buf` (int32, uint32, int64 or uint64, in symmetric memory)."""
    at = tuple(index) if isinstance(index, (tuple, list)) else (index,)
    return Signal(buf[at if len(at) > 1 else at[0]])


def _signal(x: Any, op: str) -> Any:
    if not isinstance(x, Signal):
        raise TypeError(f"T.{op} needs a signal of T.signal(buffer, index), got {type(x).__name__}")
    return ops.region(x.place, op)


def notify(signal: Any, peer: Any = -1, add: Any = 1) -> None:
    """Raises a signal on rank `peer` by `add`, behind all that the block did before, for whoever waits for it."""
    tracer.current("T.notify").tile("notify", [_signal(signal, "notify"), expr.value(peer), expr.value(add)])


def wait(signal: Any, at_least: Any = 1) -> None:
    """Waits until a signal of this rank is at least `at_least`. What was done before it was raised is then seen by the
    whole block."""
    tracer.current("T.wait").tile("wait_signal", [_signal(signal, "wait"), expr.value(at_least)])


def put(src: Any, dst: Any, peer: Any = -1, signal: Any = None, add: Any = 1) -> None:
    """Copies a tile into `dst` of rank `peer`, converting the element type; raises `signal` there behind it."""
    t = tracer.current("T.put")
    t.tile("put", [ops.region(src, "put"), ops.region(dst, "put"), expr.value(peer)])
    if signal is not None:
        notify(signal, peer, add)


def get(src: Any, dst: Any, peer: Any = -1) -> None:
    """Copies a tile of `src` of rank `peer` into `dst`, converting the element type."""
    tracer.current("T.get").tile("get", [ops.region(src, "get"), ops.region(dst, "get"), expr.value(peer)])


def _choice(x: Any, of: Any, what: str, more: tuple[str, ...] = ()) -> str:
    """A member, its number or its name in any case, as the compiler says it."""
    names = [m.name.lower() for m in of]
    if isinstance(x, str) and x.lower() in (*names, *more):
        return x.lower()
    if isinstance(x, int) and not isinstance(x, bool) and x in [m.value for m in of]:
        return str(of(x).name.lower())
    raise ValueError(f"{what} must be one of {', '.join([*names, *more])}, got {x!r}")


def _waiter(relation: str, sign: str) -> Callable[..., Any]:
    name = f"wait_{relation}"

    def wait(value: Any, expected: Any, peer: Any = -1, *, scope: Any = "sys", semantics: Any = "acquire") -> Any:
        t = tracer.current(f"T.{name}")
        place = ops.region(value, name)
        in_scope = _choice(scope, WaitScope, f"T.{name}: scope", ("cta",))
        order = _choice(semantics, WaitSemantics, f"T.{name}: semantics", ("relaxed",))
        seen = Cell(t.alloc("local.var", place.dtype, [1]))
        t.tile("wait_value", [place, relation, expr.value(expected), seen.buffer, expr.value(peer), in_scope, order])
        return seen

    wait.__name__ = wait.__qualname__ = name
    wait.__doc__ = f"""Each calling thread waits until an element of rank `peer` is {sign} `expected`; gives it.

    With the default semantics what follows in the thread comes after the release that wrote the value."""
    return wait


wait_eq = _waiter("eq", "equal to")
wait_ne = _waiter("ne", "not equal to")
wait_ge = _waiter("ge", "at least")
wait_le = _waiter("le", "at most")
wait_gt = _waiter("gt", "greater than")
wait_lt = _waiter("lt", "less than")
