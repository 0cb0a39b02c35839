# SPDX-License-Identifier: MIT
"""Layouts that a user writes: functions from coordinates to places. The compiler samples them exactly over their
finite domain; here they are only composed."""

import enum
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from . import tracer
from .expr import Var, value, var
from .frames import integer


class SwizzleMode(enum.IntEnum):
    NONE, QUARTER, HALF, FULL = 0, 32, 64, 128


class GemmWarpPolicy(enum.IntEnum):
    """How the warps of a block share the tile of `T.gemm`."""

    Square, FullRow, FullCol = 0, 1, 2

    def is_square(self) -> bool:
        return self is GemmWarpPolicy.Square

    def is_full_row(self) -> bool:
        return self is GemmWarpPolicy.FullRow

    def is_full_col(self) -> bool:
        return self is GemmWarpPolicy.FullCol


def _shape(shape: Any) -> list[int]:
    """Extents of on-chip memory: constants."""
    given = shape if isinstance(shape, (tuple, list)) else [shape]
    return [int(integer(n)) for n in given]


def _sequence(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) else [x]


class Layout:
    """`Layout(shape, forward)`: coordinates to a place, one or more indices. `forward` works on numbers and on values
    of the kernel alike."""

    def __init__(self, shape: Any, forward_fn: Callable[..., Any]) -> None:
        self._shape = _shape(shape)
        self._forward = forward_fn

    def get_input_shape(self) -> list[int]:
        return list(self._shape)

    def get_forward_vars(self) -> list[Var]:
        return [var(f"i{k}") for k in range(len(self._shape))]

    def map_forward_index(self, indices: Sequence[Any]) -> list[Any]:
        return _sequence(self._forward(*indices))

    def __call__(self, *indices: Any) -> list[Any]:
        return self.map_forward_index(indices)

    @property
    def index(self) -> list[Any]:
        with tracer.whole_expressions():
            return self.map_forward_index(self.get_forward_vars())

    def get_forward_index(self) -> list[Any]:
        return self.index

    def _samples(self) -> Any:
        return (self.map_forward_index(p) for p in itertools.product(*map(range, self._shape)))

    def get_output_shape(self) -> list[int]:
        """The largest index in each output, plus one."""
        largest: list[int] = []
        for place in self._samples():
            largest = list(map(max, place, largest)) if largest else list(place)
        return [n + 1 for n in largest]

    def get_linearized_forward_index(self) -> Any:
        linear: Any = 0
        for extent, part in zip(self.get_output_shape(), self.index, strict=True):
            linear = linear * extent + part
        return linear

    def repeat(self, dim: int, factor: int) -> "Layout":
        """`factor` copies along `dim`; the copy's number comes first in the place."""
        if not isinstance(dim, int) or not isinstance(factor, int):
            raise TypeError(f"repeat needs integers, got dim={dim!r}, factor={factor!r}")
        if not -len(self._shape) <= dim < len(self._shape) or factor < 1:
            raise ValueError(f"repeat(dim={dim}, factor={factor}) of a layout of shape {self._shape}")
        if factor == 1:
            return self
        dim %= len(self._shape)
        extent, shape = self._shape[dim], list(self._shape)
        shape[dim] *= factor

        def forward(*i: Any) -> list[Any]:
            inner = [x % extent if k == dim else x for k, x in enumerate(i)]
            return [i[dim] // extent, *self.map_forward_index(inner)]

        return Layout(shape, forward)

    def expand(self, leading_shape: Any) -> "Layout":
        """New leading dimensions that map to themselves."""
        if not isinstance(leading_shape, (tuple, list)) or not all(isinstance(n, int) for n in leading_shape):
            raise TypeError(f"expand needs a sequence of integers, got {leading_shape!r}")
        if any(n < 1 for n in leading_shape):
            raise ValueError(f"expand needs positive extents, got {leading_shape!r}")
        lead = len(leading_shape)
        return Layout([*leading_shape, *self._shape], lambda *i: [*i[:lead], *self.map_forward_index(i[lead:])])

    def reshape(self, shape: Any, rescale_num: int = 1, rescale_den: int = 1) -> "Layout":
        """The same places in row-major order under another shape."""
        given = _shape(shape)
        if math.prod(given) * rescale_den != math.prod(self._shape) * rescale_num:
            raise ValueError(f"cannot reshape a layout of {self._shape} to {given}")
        if rescale_num != rescale_den:
            raise NotImplementedError("Layout.reshape between element sizes is not supported yet")

        def forward(*i: Any) -> list[Any]:
            flat: Any = 0
            for extent, x in zip(given, i, strict=True):
                flat = flat * extent + x
            inner = []
            for extent in reversed(self._shape):
                inner.append(flat % extent)
                flat = flat // extent
            return self.map_forward_index(inner[::-1])

        return Layout(given, forward)

    def inverse(self) -> "Layout":
        raise NotImplementedError("Layout.inverse is not supported yet")

    def is_equal(self, other: "Layout") -> bool:
        return self._shape == other._shape and all(
            a == b for a, b in zip(self._samples(), other._samples(), strict=True)
        )

    def layout_spec(self) -> list[Any]:
        """What the builder takes (`layoutspec`)."""
        variables = self.get_forward_vars()
        with tracer.whole_expressions():
            outputs = [value(x) for x in self.map_forward_index(variables)]
        return ["expr", self._shape, variables, outputs]

    def __repr__(self) -> str:
        return f"Layout({self._shape} -> {', '.join(map(str, self.index))})"


class Fragment(Layout):
    """A layout over threads and their registers. `forward_fn(*i[, rep])` gives (thread, index); or the two functions
    apart. `replicate=r`: r threads hold each element."""

    def __init__(
        self,
        shape: Any,
        forward_fn: Callable[..., Any] | None = None,
        forward_thread_fn: Callable[..., Any] | None = None,
        replicate: int = 1,
        forward_index_fn: Callable[..., Any] | None = None,
    ) -> None:
        self._shape = _shape(shape)
        self._replicate = int(replicate)
        if forward_fn is not None:
            both = forward_fn
            self._thread = lambda *i: both(*i)[0]
            self._register = lambda *i: _sequence(both(*i)[1])
        elif forward_thread_fn is not None:
            register = forward_index_fn
            self._thread = forward_thread_fn
            self._register = (lambda *i: []) if register is None else (lambda *i: _sequence(register(*i)))
        else:
            raise ValueError("T.Fragment needs forward_fn or forward_thread_fn")
        self._split = forward_fn is None
        super().__init__(shape, self._register_at)

    def _arguments(self, indices: Sequence[Any], copy: Any) -> list[Any]:
        return [*indices, copy] if self._replicate > 1 else list(indices)

    def _thread_at(self, indices: Sequence[Any], copy: Any = 0) -> Any:
        return self._thread(*self._arguments(indices, copy))

    def _register_at(self, *indices: Any) -> list[Any]:
        # An index function of its own takes the coordinates only.
        return self._register(*(indices if self._split else self._arguments(indices, 0)))

    @property
    def thread(self) -> Any:
        with tracer.whole_expressions():
            return self._thread_at(self.get_forward_vars(), var("rep"))

    def map_forward_thread(self, indices: Sequence[Any]) -> Any:
        return self._thread_at(indices)

    def get_thread_size(self) -> int:
        places = itertools.product(*map(range, self._shape), range(self._replicate))
        return max(self._thread_at(p[:-1], p[-1]) for p in places) + 1

    def replicate(self, copies: int) -> "Fragment":
        """`copies` times as many threads, each group holding everything."""
        size, inner = self.get_thread_size(), self._replicate

        def thread(*i: Any) -> Any:
            *at, copy = i
            return self._thread_at(at, copy % inner) + copy // inner * size

        return Fragment(
            self._shape, forward_thread_fn=thread, replicate=inner * copies, forward_index_fn=self._register_at
        )

    def repeat(  # type: ignore[override]
        self, repeats: Sequence[int], repeat_on_thread: bool = False, lower_dim_first: bool = True
    ) -> "Fragment":
        """More elements over registers, or over more threads."""
        shape, size = self._shape, self.get_thread_size()
        order = list(range(len(shape)))
        order = order if lower_dim_first else order[::-1]

        def split(i: Sequence[Any]) -> tuple[list[Any], Any]:
            number: Any = 0
            for k in reversed(order):
                number = number * repeats[k] + i[k] // shape[k]
            return [x % n for x, n in zip(i, shape, strict=True)], number

        def thread(*i: Any) -> Any:
            at, copy = (i[:-1], i[-1]) if self._replicate > 1 else (i, 0)
            inner, number = split(at)
            base = self._thread_at(inner, copy)
            return base + number * size if repeat_on_thread else base

        def register(*i: Any) -> list[Any]:
            inner, number = split(i)
            base = self._register_at(*inner)
            return base if repeat_on_thread else [number, *base]

        grown = [n * r for n, r in zip(shape, repeats, strict=True)]
        return Fragment(grown, forward_thread_fn=thread, replicate=self._replicate, forward_index_fn=register)

    def condense_rep_var(self) -> "Fragment":
        return self

    def is_equal(self, other: Layout) -> bool:
        if not isinstance(other, Fragment) or self._shape != other._shape or self._replicate != other._replicate:
            return False
        places = itertools.product(*map(range, self._shape))
        return all(
            self._register_at(*p) == other._register_at(*p)
            and all(self._thread_at(p, c) == other._thread_at(p, c) for c in range(self._replicate))
            for p in places
        )

    def layout_spec(self) -> list[Any]:
        variables, copy = self.get_forward_vars(), var("rep")
        with tracer.whole_expressions():
            thread = value(self._thread_at(variables, copy))
            registers = [value(x) for x in self._register_at(*variables)]
        copy_var = copy if self._replicate > 1 else None
        return ["fragment", self._shape, variables, self._replicate, copy_var, thread, registers]

    def __repr__(self) -> str:
        return f"Fragment({self._shape}, thread={self.thread}, index={self.index})"


class NamedLayout:
    """A layout that the compiler knows by name."""

    def __init__(self, *spec: Any) -> None:
        self._spec = list(spec)

    def layout_spec(self) -> list[Any]:
        return list(self._spec)

    def __repr__(self) -> str:
        return f"layout {' '.join(map(str, self._spec))}"


def make_swizzled_layout(buffer: Any, k_major: bool = True, allow_pad: bool = True) -> NamedLayout:
    """The shared-memory layout that T.gemm prefers."""
    return NamedLayout("chosen")


def make_full_bank_swizzled_layout(buffer: Any) -> NamedLayout:
    return NamedLayout("swizzle", 128)


def make_half_bank_swizzled_layout(buffer: Any) -> NamedLayout:
    return NamedLayout("swizzle", 64)


def make_quarter_bank_swizzled_layout(buffer: Any) -> NamedLayout:
    return NamedLayout("swizzle", 32)


def make_linear_layout(buffer: Any) -> NamedLayout:
    return NamedLayout("linear")


def make_fully_replicated_layout_fragment(buffer: Any, threads: int) -> Fragment:
    """Every thread holds the whole tile."""
    shape = _shape(buffer.shape)

    def register(*i: Any) -> Any:
        flat: Any = 0
        for extent, x in zip(shape, i, strict=True):
            flat = flat * extent + x
        return flat

    return Fragment(shape, forward_thread_fn=lambda *i: i[-1], replicate=threads, forward_index_fn=register)


def make_gemm_fragment_8x8() -> Fragment:
    """The 8x8 tile of one warp: each thread has two neighbours of a row."""
    return Fragment([8, 8], forward_fn=lambda i, j: (i * 4 + j // 2, j % 2))


def make_gemm_fragment_8x8_transposed() -> Fragment:
    return Fragment([8, 8], forward_fn=lambda i, j: (j * 4 + i // 2, i % 2))


FACTORIES = {name: made for name, made in dict(globals()).items() if name.startswith("make_")}
