# SPDX-License-Identifier: MIT
"""Communication between ranks: typed signals, moves of tiles, waits."""

import enum
from collections.abc import Callable
from typing import Any

from .._ffi import builder
from . import expr, frames, ops, tracer
from .buffers import Cell, Region


class WaitScope(enum.IntEnum):
    """Whose writes T.wait_… sees: those of all ranks, or of this GPU."""

    SYS = 0
    GPU = 1


class WaitSemantics(enum.IntEnum):
    """Whether what follows T.wait_… comes after what the writer did before (ACQUIRE), or only the value is seen."""

    ACQUIRE = 0
    VOLATILE = 1


class CmpType(enum.IntEnum):
    """How T.signal_wait_until compares; the numbers are NVSHMEM's."""

    EQ = 0
    NE = 1
    GT = 2
    LE = 3
    LT = 4
    GE = 5


class Amo(enum.IntEnum):
    """What T.signal_op and the puts with a signal do to it; the numbers are NVSHMEM's."""

    SIGNAL_SET = 9
    SIGNAL_ADD = 10


class Team(enum.IntEnum):
    """Sets of ranks; the numbers are NVSHMEM's."""

    WORLD = 0
    SHARED = 1
    NODE = 2
    SAME_MYPE_NODE = 3
    SAME_GPU = 4
    GPU_LEADERS = 5


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


def _peer(x: Any, op: str) -> Any:
    if x is None:
        raise TypeError(f"T.{op} needs `peer`, the rank that it reaches; peer=-1 is the rank that runs it")
    return expr.value(x)


def notify(signal: Any, peer: Any = None, add: Any = 1) -> None:
    """Raises a signal on rank `peer` by `add`, behind all that the block did before, for whoever waits for it."""
    tracer.current("T.notify").tile("notify", [_signal(signal, "notify"), _peer(peer, "notify"), expr.value(add)])


def wait(signal: Any, at_least: Any = 1) -> None:
    """Waits until a signal of this rank is at least `at_least`. What was done before it was raised is then seen by the
    whole block."""
    tracer.current("T.wait").tile("wait_signal", [_signal(signal, "wait"), expr.value(at_least)])


def put(src: Any, dst: Any, peer: Any = None, signal: Any = None, add: Any = 1) -> None:
    """Copies a tile into `dst` of rank `peer`, converting the element type; raises `signal` there behind it."""
    t = tracer.current("T.put")
    t.tile("put", [ops.region(src, "put"), ops.region(dst, "put"), _peer(peer, "put")])
    if signal is not None:
        notify(signal, peer, add)


def get(src: Any, dst: Any, peer: Any = None) -> None:
    """Copies a tile of `src` of rank `peer` into `dst`, converting the element type."""
    tracer.current("T.get").tile("get", [ops.region(src, "get"), ops.region(dst, "get"), _peer(peer, "get")])


def _choice(x: Any, of: Any, what: str, more: tuple[str, ...] = ()) -> str:
    """A member, its number or its name in any case, as the compiler says it."""
    names = [m.name.lower() for m in of]
    if isinstance(x, str) and x.lower() in (*names, *more):
        return x.lower()
    if isinstance(x, int) and not isinstance(x, bool) and x in [m.value for m in of]:
        return str(of(x).name.lower())
    raise ValueError(f"{what} must be one of {', '.join([*names, *more])}, got {x!r}")


def _wait(name: str, relation: str, place: Any, expected: Any, peer: Any, scope: str, order: str) -> Any:
    t = tracer.current(f"T.{name}")
    at = place.region if isinstance(place, expr.Addr) else ops.region(place, name)
    seen = Cell(t.alloc("local.var", at.dtype, [1]))
    t.tile("wait_value", [place, relation, expr.value(expected), seen.buffer, expr.value(peer), scope, order])
    return seen.load()  # a value: assigned to a variable it is stored there


def _waiter(relation: str, sign: str) -> Callable[..., Any]:
    name = f"wait_{relation}"

    def wait(value: Any, expected: Any, peer: Any = -1, *, scope: Any = "sys", semantics: Any = "acquire") -> Any:
        in_scope = _choice(scope, WaitScope, f"T.{name}: scope", ("cta",))
        order = _choice(semantics, WaitSemantics, f"T.{name}: semantics", ("relaxed",))
        return _wait(name, relation, ops.address(value, name), expected, peer, in_scope, order)

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


# The names of NVSHMEM. Moves are rows of the table; here is what takes more than one op.


def _sent(t: tracer.Tracer, scope: str, signal: Any, value: Any, op: Any, pe: Any, name: str) -> None:
    kind = _choice(op, Amo, f"T.{name}: sig_op").removeprefix("signal_")
    t.tile(f"{scope}notify", [ops.address(signal, name), expr.value(pe), expr.value(value), kind])


def signal_op(sig_addr: Any, signal: Any, sig_op: Any, pe: Any) -> None:
    """The calling thread sets a signal on rank `pe`, or adds to it: Amo.SIGNAL_SET, Amo.SIGNAL_ADD. A release at system
    scope of what the thread did and learnt."""
    _sent(tracer.current("T.signal_op"), "thread_", sig_addr, signal, sig_op, pe, "signal_op")


def signal_wait_until(sig_addr: Any, cmp: Any, val: Any) -> Any:
    """The calling thread waits until a signal of this rank compares with `val` as `cmp` (CmpType) says; gives it."""
    relation = _choice(cmp, CmpType, "T.signal_wait_until: cmp")
    return _wait("signal_wait_until", relation, ops.address(sig_addr, "signal_wait_until"), val, -1, "sys", "acquire")


def _put_with_signal(name: str, scope: str, who: str) -> Callable[..., None]:
    def put(dest: Any, src: Any, nelems: Any, sig_addr: Any, signal: Any, sig_op: Any, pe: Any) -> None:
        t = tracer.current(f"T.{name}")
        moved = [ops.address(src, name), ops.address(dest, name), expr.value(pe), expr.value(nelems), 4, True]
        t.tile(f"{scope}put", moved)
        _sent(t, scope, sig_addr, signal, sig_op, pe, name)

    put.__name__ = put.__qualname__ = name
    put.__doc__ = f"""Copies `nelems` bytes to rank `pe` by {who}; sets the signal there, or adds to it, behind them."""
    return put


putmem_signal = _put_with_signal("putmem_signal", "thread_", "the calling thread")
putmem_signal_warp = _put_with_signal("putmem_signal_warp", "warp_", "the lanes of the calling warp")
putmem_signal_block = _put_with_signal("putmem_signal_block", "", "the threads of the block")
putmem_signal_nbi = _put_with_signal("putmem_signal_nbi", "thread_", "the calling thread")
putmem_signal_nbi_warp = _put_with_signal("putmem_signal_nbi_warp", "warp_", "the lanes of the calling warp")
putmem_signal_nbi_block = _put_with_signal("putmem_signal_nbi_block", "", "the threads of the block")


def sync_barrier_gpu(barrier: Any) -> None:
    """T.arrive_barrier_gpu and T.wait_barrier_gpu: the blocks of this GPU that were announced meet."""
    t = tracer.current("T.sync_barrier_gpu")
    t.tile("notify", [ops.address(barrier, "sync_barrier_gpu"), None, 1, "add", "gpu"])
    t.tile("wait_signal", [ops.address(barrier, "sync_barrier_gpu"), 0x80000000, "gpu"])


def _all_ranks(name: str, team: Any) -> None:
    """Teams are those that hold every rank of one node."""
    if _choice(team, Team, f"T.{name}: team") not in ("world", "shared", "node"):
        raise NotImplementedError(f"T.{name}: the team {Team(team).name} is not supported yet, take Team.WORLD")


def _meeting(name: str, scope: str, completes: bool) -> Callable[..., None]:
    def meet(team: Any = Team.WORLD) -> None:
        t = tracer.current(f"T.{name}")
        _all_ranks(name, team)
        t.call("barrier_all", [f"{scope}rank_barrier", completes], "void")

    meet.__name__ = meet.__qualname__ = name
    own = "completes the nbi copies of who calls it, and " if completes else ""
    meet.__doc__ = f"""All ranks meet: {own}orders what was done before it on any rank before what follows on any."""
    return meet


def _spread(t: tracer.Tracer, scope: str, dst: Any, src: Any, count: Any, in_bytes: bool) -> None:
    """Puts to every rank."""
    loop = frames.Loop("serial", [(0, builder.op("num_ranks", [], "int32"), 1)])
    depth = len(t.regions)
    (rank,) = loop.begin(t)
    t.tile(f"{scope}put", [src, dst, rank, count, 4, in_bytes])
    while len(t.regions) > depth:
        t.close()


def _broadcaster(name: str, scope: str, who: str, in_bytes: bool = False) -> Callable[..., None]:
    def broadcast(team: Any, dest: Any, source: Any, nelems: Any, pe_root: Any) -> None:
        t = tracer.current(f"T.{name}")
        _all_ranks(name, team)
        t.begin_if(builder.op("rank", [], "int32") == expr.value(pe_root))
        _spread(t, scope, ops.address(dest, name), ops.address(source, name), expr.value(nelems), in_bytes)
        t.close()
        t.call("barrier_all", [f"{scope}rank_barrier", False], "void")

    broadcast.__name__ = broadcast.__qualname__ = name
    unit = "bytes" if in_bytes else "elements"
    broadcast.__doc__ = f"""`nelems` {unit} of `source` of rank `pe_root` to `dest` of all ranks, by {who}.

    All ranks call it and meet in it: `dest` is then written and `source` free."""
    return broadcast


def _collector(name: str, scope: str, who: str) -> Callable[..., None]:
    def fcollect(team: Any, dest: Any, source: Any, nelems: Any) -> None:
        t = tracer.current(f"T.{name}")
        _all_ranks(name, team)
        whole = ops.address(dest, name)
        at = whole.region if isinstance(whole, expr.Addr) else ops.region(whole, name)
        at = at if isinstance(at, Region) else builder.region(at, [0] * at.ndim, None)
        index = [b for b, _ in at.region]
        index[-1] = index[-1] + builder.op("rank", [], "int32") * expr.value(nelems)
        mine = builder.load(at.buffer, index)
        _spread(t, scope, mine, ops.address(source, name), expr.value(nelems), False)
        t.call("barrier_all", [f"{scope}rank_barrier", False], "void")

    fcollect.__name__ = fcollect.__qualname__ = name
    fcollect.__doc__ = f"""`nelems` elements of `source` of each rank, in turn, to `dest` of all ranks, by {who}.

    All ranks call it and meet in it: `dest` is then written and `source` free."""
    return fcollect


barrier_all = _meeting("barrier_all", "thread_", True)
sync_all = _meeting("sync_all", "thread_", False)
broadcast = _broadcaster("broadcast", "thread_", "the calling thread")
fcollect = _collector("fcollect", "thread_", "the calling thread")
barrier_all_warp = _meeting("barrier_all_warp", "warp_", True)
sync_all_warp = _meeting("sync_all_warp", "warp_", False)
broadcast_warp = _broadcaster("broadcast_warp", "warp_", "the lanes of the calling warp")
fcollect_warp = _collector("fcollect_warp", "warp_", "the lanes of the calling warp")
barrier_all_block = _meeting("barrier_all_block", "", True)
sync_all_block = _meeting("sync_all_block", "", False)
broadcast_block = _broadcaster("broadcast_block", "", "the threads of the block")
fcollect_block = _collector("fcollect_block", "", "the threads of the block")
broadcastmem_block = _broadcaster("broadcastmem_block", "", "the threads of the block", in_bytes=True)


def alloc_barrier_gpu() -> Any:
    """A barrier of the blocks of this launch, for T.init_barrier_gpu."""
    return tracer.current("T.alloc_barrier_gpu").alloc("global", "uint32", [1], init=0)
