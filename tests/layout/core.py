# SPDX-License-Identifier: MIT
"""The C++ layout algebra, through its text form, in the terms of the reference model."""

import numpy as np
from tilescale import _ffi

from tests.layout.oracle.model import Layout
from tests.layout.oracle.modes import LETTER, SHORT, NotExpressible

REFUSED = "refused: "


class Core:
    """Functions of `tilescale.layout.*`. Layouts go in and come back as text; a refusal raises NotExpressible."""

    def __getattr__(self, name):
        found = _ffi.function("layout." + name)

        def call(*args):
            out = found(*[str(a) if isinstance(a, Layout) else a for a in args])
            if isinstance(out, str) and out.startswith(REFUSED):
                raise NotExpressible(out[len(REFUSED) :])
            return str(out) if isinstance(out, str) else out

        setattr(self, name, call)
        return call


core = Core()


def or_refused(f, *args):
    """The text of a result, or "refused"."""
    try:
        return str(f(*args))
    except NotExpressible:
        return "refused"


def from_core(text):
    """A layout or a table of the reference model from the core's text."""
    if "| table" not in text:
        return Layout.parse(text)
    head, kind, *axes = [part.strip() for part in text.split("|")]
    shape = tuple(int(x) for x in head.split(",") if x)
    replicas = int(kind.split()[1])
    mask, values = None, {}
    for part in axes:
        letter, *words = part.split()
        rows = np.array([[0 if w == "-" else int(w) for w in words]]).reshape(-1, replicas)
        mask = np.array([w != "-" for w in words]).reshape(-1, replicas).all(1)
        values[LETTER[letter]] = np.where(mask[:, None], rows, -1)
    return Layout(shape, (), tab=(mask, values))


def to_core(layout):
    """The core's text of a layout or a table."""
    if not layout.tab:
        return str(layout)
    mask, values = layout.tab
    parts = [",".join(map(str, layout.shape)), f"table {layout.nreps}"]
    for axis, v in sorted(values.items()):
        words = [str(x) if ok else "-" for ok, row in zip(mask, v.tolist(), strict=True) for x in row]
        parts.append(" ".join([SHORT[axis], *words]))
    return " | ".join(parts)
