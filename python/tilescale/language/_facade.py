# SPDX-License-Identifier: MIT
"""The code behind the façade `tilescale.language`."""

import importlib
import os
import sys

_PACKAGE = __name__.rpartition(".")[0]
_MODULES = frozenset(file[:-3] for file in os.listdir(os.path.dirname(__file__)) if file.endswith(".py"))


def _of_dialect(function: str, *args: object) -> object:
    return getattr(importlib.import_module(_PACKAGE + ".dialect"), function)(*args)


def find(name: str) -> object:
    """`T.name`, kept in the façade from then on."""
    special = name.startswith("__") and name.endswith("__")
    if special or name in _MODULES:
        # `from . import tracer` asks the package for the name before it imports the module.
        raise AttributeError(name)
    found = _of_dialect("lookup", name)
    sys.modules[_PACKAGE].__dict__[name] = found
    return found


def names() -> object:
    """What `dir(T)` shows."""
    return _of_dialect("known_names")
