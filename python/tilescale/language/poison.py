# SPDX-License-Identifier: MIT
"""Objects that stand for a name without a value. Any use raises; merely existing does not."""

from typing import Any, NoReturn

_METHODS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow lshift rlshift rshift rrshift "
    "and rand or ror xor rxor neg pos invert abs lt le gt ge eq ne bool index int float iter len getitem setitem "
    "call str format enter"
)


class Poison:
    __slots__ = ("_error",)

    def __init__(self, error: type[Exception], why: str) -> None:
        self._error = (error, why)

    def die(self, *_: Any, **__: Any) -> NoReturn:
        error, why = self._error
        raise error(why)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.die()

    __hash__ = object.__hash__


for _name in _METHODS.split():
    setattr(Poison, f"__{_name}__", Poison.die)

UNBOUND = Poison(NameError, "this name is read before it is bound in the traced function")
