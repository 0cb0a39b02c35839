# SPDX-License-Identifier: MIT
"""Records of an explicit warp schedule (`T.annotate_ws_schedule`) and the tile scheduler of persistent kernels."""

import enum
from dataclasses import dataclass, field
from typing import Any

from .. import targets
from . import tracer
from .arithmetic import maximum, minimum
from .buffers import Cell
from .dtypes import dtype
from .frames import integer, plain

WS_OP_ID = "tl.ws_op_id"


@dataclass(frozen=True)
class WSOpRef:
    """Run the ops labelled `id`."""

    id: str


class WSSyncKind(enum.Enum):
    """The steps of a pipe: its producer acquires and commits a slot, its consumer waits for and releases it."""

    producer_acquire = "acquire"
    producer_commit = "commit"
    consumer_wait = "wait"
    consumer_release = "release"


@dataclass(frozen=True)
class WSInstr:
    """One step of a role on a pipeline, as T.WSSync makes it."""

    kind: WSSyncKind
    pipeline: str
    stage: int = 0


class WSSync:
    """Makes the steps on a pipeline that stand in a T.WSScope."""

    @staticmethod
    def producer_acquire(pipeline: str, stage: int = 0) -> WSInstr:
        return WSInstr(WSSyncKind.producer_acquire, pipeline, stage)

    @staticmethod
    def producer_commit(pipeline: str, stage: int = 0) -> WSInstr:
        return WSInstr(WSSyncKind.producer_commit, pipeline, stage)

    @staticmethod
    def consumer_wait(pipeline: str, stage: int = 0) -> WSInstr:
        return WSInstr(WSSyncKind.consumer_wait, pipeline, stage)

    @staticmethod
    def consumer_release(pipeline: str, stage: int = 0) -> WSInstr:
        return WSInstr(WSSyncKind.consumer_release, pipeline, stage)


@dataclass
class WSRole:
    """Warps `[warps_lo, warps_hi)`."""

    name: str
    warps_lo: int = field(kw_only=True)
    warps_hi: int = field(kw_only=True)
    max_nreg: int = field(default=0, kw_only=True)


@dataclass
class WSPipeline:
    """Buffers that pass from one role to another, in `depth` slots."""

    name: str
    buffers: Any
    depth: int


@dataclass
class WSScope:
    """The steps of every role in the kernel body (ROOT) or in a labelled loop."""

    ROOT = "tl.ws_scope_root"
    id: str
    bodies: dict[str, list[Any]]


@dataclass
class WSSchedule:
    """What T.annotate_ws_schedule takes: the roles of `num_warps` warps (a multiple of 4), the pipelines between them,
    the steps of each role in each scope."""

    num_warps: int
    roles: list[WSRole]
    pipelines: list[WSPipeline]
    scopes: list[WSScope]

    def __post_init__(self) -> None:
        assert self.num_warps % 4 == 0, f"num_warps must be a multiple of 4, got {self.num_warps}"


def annotate_ws_schedule(schedule: WSSchedule) -> None:
    """The roles, pipelines and steps of the kernel; it applies to the loops and `T.ws_op`s that it names."""
    t = tracer.current("T.annotate_ws_schedule")
    if not isinstance(schedule, WSSchedule):
        raise TypeError(f"T.annotate_ws_schedule needs a T.WSSchedule, got {type(schedule).__name__}")
    for role in schedule.roles:
        if role.warps_hi > schedule.num_warps:
            raise ValueError(f"role {role.name!r} ends at warp {role.warps_hi} of {schedule.num_warps}")

    def step(instr: Any) -> list[Any]:
        return ["do", instr.id, 0] if isinstance(instr, WSOpRef) else [instr.kind.value, instr.pipeline, instr.stage]

    roles = [[role.name, role.warps_lo, role.warps_hi, role.max_nreg] for role in schedule.roles]
    pipes = [[pipe.name, plain(pipe.buffers), pipe.depth] for pipe in schedule.pipelines]
    scopes = [
        [
            "" if scope.id == WSScope.ROOT else scope.id,
            [[role, [step(i) for i in body]] for role, body in scope.bodies.items()],
        ]
        for scope in schedule.scopes
    ]
    t.annotate("annotate_ws_schedule", [roles, pipes, scopes])


def meta_class(cls: type) -> type:
    """`@T.meta_class`: instances live while tracing; methods that store run as macros."""
    return cls


class BaseTileScheduler:
    """State of a worker that walks tiles: the linear index, the tile and how many it has done."""

    STATE = ("linear_idx", "m_idx", "n_idx", "current_iter")

    def __init__(self, stateful: bool = True, name: str | None = None) -> None:
        if not stateful:
            return
        t = tracer.current("a tile scheduler")
        for state in self.STATE:
            cell = Cell(t.alloc("local.var", dtype("int32"), [1]))
            t.set_name(cell.buffer, f"{name or 'tile'}_{state}")
            cell.named = True
            setattr(self, state, cell)


class PersistentTileScheduler(BaseTileScheduler):
    """Deals the tiles of an m by n grid to workers, in columns (or rows) of `swizzle_size`."""

    linear_idx: Any
    m_idx: Any
    n_idx: Any
    current_iter: Any

    def __init__(
        self,
        num_m_tiles: Any,
        num_n_tiles: Any,
        num_workers: Any = None,
        swizzle_size: int = 1,
        column_major: bool = True,
        cluster_size: int = 1,
        stateful: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(stateful, name)
        m = integer(num_m_tiles)
        self._m = (m + cluster_size - 1) // cluster_size
        self._n = integer(num_n_tiles)
        if num_workers is None:
            num_workers = targets.multiprocessor_count() // cluster_size
        self._workers = num_workers
        self._swizzle = swizzle_size
        self._column_major = column_major

    def coord(self, tile: Any) -> tuple[Any, Any]:
        """(m, n) of a linear tile index."""
        primary, secondary = (self._m, self._n) if self._column_major else (self._n, self._m)
        group = tile // (primary * self._swizzle)
        base = group * self._swizzle
        width = maximum(1, minimum(self._swizzle, secondary - base))
        rest = tile - group * primary * self._swizzle
        fast, slow = rest // width, base + rest % width
        return (fast, slow) if self._column_major else (slow, fast)

    def _move_to(self, tile: Any) -> None:
        self.linear_idx.store(tile)
        m, n = self.coord(self.linear_idx)
        self.m_idx.store(m)
        self.n_idx.store(n)

    def init(self, worker_id: Any) -> None:
        self._move_to(worker_id)
        self.current_iter.store(0)

    def next_tile(self, step: Any = None) -> None:
        self._move_to(self.linear_idx + (self._workers if step is None else step))
        self.current_iter.store(self.current_iter + 1)

    def valid(self) -> Any:
        return self.linear_idx < self._m * self._n
