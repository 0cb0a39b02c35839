# SPDX-License-Identifier: MIT
"""Places of a kernel: buffers, slices of them, `T.alloc_var` cells and `T.Ref` parameters."""

from collections.abc import Iterator
from typing import Any

from .._ffi import Object, builder, reflected, register_object
from . import tracer
from .dtypes import dtype
from .expr import Const, Expr, Load, Operators, load, op, text, value

# The user's scope by the space of a storage.
_SCOPES = (
    "global",
    "shared.dyn",
    "shared.barrier",
    "local.fragment",
    "local",
    "local.var",
    "local.descriptor",
    "shared.tmem",
)
_region = builder.region


def _integer(x: Any) -> Any:
    """A constant expression as a Python integer, anything else as it is."""
    return x.value if type(x) is Const else x


@register_object("tilescale.ir.Buffer")
class Buffer(Object):
    """A tensor, a tile in shared memory, a fragment, …: `A[i, j]` loads, `A[i, 0:8]` is a slice,
    `A[i, j] = v` stores."""

    __slots__ = ("__dict__",)
    name: str
    storage: Any
    elem_offset = 0

    @property
    def shape(self) -> tuple[Any, ...]:
        known = self.__dict__.get("_shape")
        if known is None:
            known = self.__dict__["_shape"] = tuple(map(_integer, _shape_of(self)))
        return known

    @property
    def strides(self) -> tuple[Any, ...]:
        given = tuple(map(_integer, _strides_of(self)))
        if given or not self.shape:
            return given
        steps: list[Any] = [1]
        for extent in reversed(self.shape[1:]):
            steps.append(steps[-1] * extent)
        return tuple(reversed(steps))

    @property
    def dtype(self) -> dtype:
        known = self.__dict__.get("_dtype")
        if known is None:
            known = self.__dict__["_dtype"] = dtype(builder.dtype(self))
        return known

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def data(self) -> Expr:
        return op("data", [self])

    def scope(self) -> str:
        return _SCOPES[self.storage.space]

    def access_ptr(
        self,
        access_mask: Any = "rw",
        ptr_type: str = "handle",
        content_lanes: int = 1,
        offset: Any = 0,
        extent: Any = None,
    ) -> Expr:
        extent = None if extent is None else value(extent)
        return op("access_ptr", [self, access_mask, value(offset), extent], "handle")

    def get_flattened_buffer(self) -> "Buffer":
        return self

    def _as_value(self) -> Any:
        zeros = ", ".join("0" * self.ndim)
        raise TypeError(
            f"buffer `{self.name}` is used where a value is expected; index it, e.g. `{self.name}[{zeros}]`"
        )

    def _full_index(self, index: Any) -> tuple[Any, ...]:
        """`index` with `...` filled up and checked against the rank."""
        index = index if type(index) is tuple else (index,)
        ndim = self.ndim
        dots = [k for k, x in enumerate(index) if x is Ellipsis]
        if dots:
            k = dots[0]
            fill = (slice(None),) * (ndim - len(index) + 1)
            index = index[:k] + fill + index[k + 1 :]
        if len(index) != ndim:
            raise IndexError(
                f"Buffer {self.name} is {ndim}-dimensional (shape={list(self.shape)}), but {len(index)} "
                f"index(es) were provided: {list(index)}. "
                f"Please provide exactly {ndim} index/indices or slice(s)."
            )
        return index

    def __getitem__(self, index: Any) -> Any:
        index = self._full_index(index)
        if not any(type(x) is slice for x in index):
            return load(self, [value(x) for x in index])
        if any(type(x) is slice and x.step not in (None, 1) for x in index):
            return load(self, [_ramp(x, self) if type(x) is slice else value(x) for x in index])
        begin, extent = [], []
        for x, size in zip(index, self.shape, strict=True):
            b, e = _span(x, size) if type(x) is slice else (value(x), 1)
            begin.append(b)
            extent.append(e)
        return _region(self, begin, extent)

    def __setitem__(self, index: Any, new: Any) -> None:
        full = self._full_index(index)
        t = tracer.current()
        sliced = any(type(x) is slice for x in full)
        place = self[index] if sliced else None
        if type(place) is Region:
            if isinstance(new, (Region, Buffer)):
                t.tile("copy", [new, place, None, False, None, None, None, []])
            else:
                t.tile("fill", [place, value(new), []])
            return
        if sliced:
            raise RuntimeError(
                f"a slice with a step cannot be stored to: `{text(place)}`; write a T.Parallel or T.vectorized loop"
            )
        if isinstance(new, Buffer):
            raise TypeError(
                f"cannot store buffer `{new.name}` into one element of `{self.name}`; use T.copy or index it"
            )
        if type(new) is Region:
            new = new.first()
        # Not the index of a load from there: that of a vector is its first lane's.
        t.store(self, [value(x) for x in full], value(new))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"buffer `{self.name}` cannot be iterated; index it")

    def __bool__(self) -> bool:
        raise TypeError(f"Buffer `{self.name}` cannot be used as condition directly.")

    def __repr__(self) -> str:
        return str(self.name)

    __hash__ = Object.__hash__


_shape_of, _strides_of = reflected(Buffer, "shape"), reflected(Buffer, "strides")


def _span(x: slice, size: Any) -> tuple[Any, Any]:
    """(begin, extent) of a slice with unit step in a dimension of `size`."""
    low = 0 if x.start is None else value(x.start)
    high = size if x.stop is None else value(x.stop)
    if isinstance(low, int) and low < 0:
        low = low + size
    if isinstance(high, int) and high < 0:
        high = high + size
    return low, high - low


def _ramp(x: slice, buffer: Buffer) -> Expr:
    """The vector index of a slice with a step."""
    low, step = (0 if x.start is None else x.start), x.step
    try:
        lanes = len(range(int(low), int(x.stop), int(step)))
    except TypeError:
        raise TypeError(
            f"a slice with a step needs constant bounds, got `{buffer.name}[{text(x.start)}:{text(x.stop)}:{step}]`"
        ) from None
    return op("ramp", [value(low), int(step), lanes])


@register_object("tilescale.ir.Region")
class Region(Object):
    """A slice of a buffer: begin and extent per dimension."""

    buffer: Buffer

    @property
    def region(self) -> list[tuple[Any, Any]]:
        """(begin, extent) per dimension."""
        begin, extent = map(_integer, _begin_of(self)), map(_integer, _extent_of(self))
        return list(zip(begin, extent, strict=True))

    @property
    def dtype(self) -> dtype:
        return dtype(builder.dtype(self))

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(e for _, e in self.region)

    @property
    def ndim(self) -> int:
        return len(self.region)

    def scope(self) -> str:
        return self.buffer.scope()

    def first(self) -> Load:
        """The element at the region's begin."""
        return load(self.buffer, [b for b, _ in self.region])

    def __getitem__(self, index: Any) -> Any:
        """Indexing a slice counts from its begin; dimensions of extent 1 are skipped."""
        given = list(index) if type(index) is tuple else [index]
        bounds = self.region
        free = [k for k, (_, e) in enumerate(bounds) if not (isinstance(e, int) and e == 1)]
        if len(given) != len(free):
            raise IndexError(f"the slice `{text(self)}` has {len(free)} dimension(s), got {len(given)} index(es)")
        full = [b for b, _ in bounds]
        for k, x in zip(free, given, strict=True):
            full[k] = full[k] + value(x)
        return load(self.buffer, [value(x) for x in full])

    def _as_value(self) -> Load:
        """A slice of constant extent, read as a vector."""
        index = []
        for b, e in self.region:
            if not isinstance(e, int):
                raise TypeError(f"the slice `{text(self)}` has no constant extent; it cannot be read as a vector")
            index.append(b if e == 1 else op("ramp", [b, 1, e]))
        return load(self.buffer, index)

    def __bool__(self) -> bool:
        raise TypeError(f"Region `{text(self)}` cannot be used as condition directly.")

    def __repr__(self) -> str:
        return text(self)

    __hash__ = Object.__hash__


_begin_of, _extent_of = reflected(Region, "begin"), reflected(Region, "extent")


class Cell(Operators):
    """`T.alloc_var`: a place that reads as its value. `x = v` and `x += v` store into it."""

    __slots__ = ("_read", "buffer", "named")

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.named = False
        self._read = load(buffer, [0])

    def _as_value(self) -> Load:
        return self._read

    load = _as_value

    def store(self, new: Any) -> None:
        tracer.current().store(self.buffer, [0], value(new))

    @property
    def name(self) -> str:
        return self.buffer.name

    @property
    def shape(self) -> tuple[Any, ...]:
        return (1,)

    @property
    def ndim(self) -> int:
        return 1

    @property
    def data(self) -> Expr:
        return self.buffer.data

    def scope(self) -> str:
        return self.buffer.scope()

    def access_ptr(self, *args: Any, **kwargs: Any) -> Expr:
        return self.buffer.access_ptr(*args, **kwargs)

    def __getitem__(self, index: Any) -> Load:
        return self._read

    def __setitem__(self, index: Any, new: Any) -> None:
        self.store(new)


class Ref(Operators):
    """A `T.Ref` parameter of a macro: the place itself, its indices evaluated once."""

    __slots__ = ("place",)

    def __init__(self, place: Any) -> None:
        self.place = place

    def _as_value(self) -> Any:
        return value(self.place)

    load = _as_value

    @property
    def buffer(self) -> Buffer:
        return self.place.buffer

    def store(self, new: Any) -> None:
        place = self.place
        if type(place) is Load:
            tracer.current().store(place.buffer, list(place.index), value(new))
        elif type(place) is Cell:
            place.store(new)
        else:
            tracer.current().tile("fill", [place, value(new), []])

    def __getitem__(self, index: Any) -> Any:
        return self.place[index]

    def __setitem__(self, index: Any, new: Any) -> None:
        if type(self.place) is Cell:
            self.place.store(new)
        else:
            raise TypeError(f"`{text(self)}` refers to one place; assign to its name")
