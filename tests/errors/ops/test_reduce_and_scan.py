# SPDX-License-Identifier: MIT
"""Messages of reduce, scan, atomic and transpose, exactly. Each program is one line over buffers declared below."""

import itertools
import textwrap

import pytest
import tilescale.language as T

_number = itertools.count()

HEAD = """
x = T.alloc_fragment((4, 8), "float32")
r = T.alloc_fragment((4,), "float32")
c = T.alloc_fragment((8,), "float32")
s = T.alloc_shared((8, 4), "float32")
p = T.alloc_local((4,), "float32")
h = T.alloc_shared((4, 8), "int8")
"""


def trace(line: str):
    text = '@T.prim_func\ndef main(A: T.Tensor((4, 8), "float32")):\n    with T.Kernel(1, threads=32) as bx:\n'
    text += textwrap.indent(HEAD.strip() + "\n" + line, " " * 8) + "\n"
    return T.exec_source(text, {"T": T}, f"<ops-error-test-{next(_number)}>")["main"]


CASES = [
    (
        "T.reduce_sum(x, c, dim=1)",
        ValueError,
        "Invalid reduce output shape, buffer shape is [4, 8], dim is 1, output shape is [8], expected shapes are "
        "[[4], [4, 1]]",
    ),
    ("T.reduce_sum(x, r, dim=2)", ValueError, "T.reduce: dim 2 is out of bounds for buffer with shape [4, 8]"),
    ("T.reduce_sum(x, r, dim=1, batch=0)", ValueError, "batch must be >= 1, got 0"),
    ("T.reduce_bitand(x, r, dim=1)", ValueError, "reduce_bitand requires an integer/bool buffer, got dtype float32"),
    ("T.reduce_sum(x, p, dim=1)", ValueError, "Invalid buffer scopes: local.fragment and local"),
    ("T.cumsum(x, dim=2)", ValueError, "Dimension 2 is out of bounds for buffer with shape [4, 8]"),
    (
        "T.cumsum(x, s)",
        ValueError,
        "cumsum dst shape [8, 4] must match src shape [4, 8] (dim 0 mismatch)",
    ),
    ("T.cummax(x, r)", ValueError, "cummax dst shape [4] must match src shape [4, 8] (rank mismatch)"),
    (
        "T.cumsum(p)",
        ValueError,
        "T.cumsum: `p` is local memory; use a fragment, shared or global buffer",
    ),
    (
        "T.atomic_add(x, r[0])",
        ValueError,
        "T.atomic_add needs a destination in global or shared memory, `x` is in registers",
    ),
    ("T.atomic_add(h, 1)", TypeError, "T.atomic_add of int8 is not supported"),
    (
        'T.atomic_max(s, 1.0, memory_order="later")',
        ValueError,
        "atomic_max does not support memory_order='later'; expected one of ['relaxed', 'consume', 'acquire', "
        "'release', 'acq_rel', 'seq_cst']",
    ),
    (
        "T.transpose(x, A)",
        ValueError,
        "T.transpose: `A` has shape [4, 8], expected [8, 4], the shape of `x` with its last two dimensions swapped",
    ),
    ("T.transpose(r, r)", ValueError, "T.transpose: `r` must have at least 2 dimensions, got 1"),
]


@pytest.mark.parametrize(("line", "kind", "message"), CASES, ids=[case[0] for case in CASES])
def test_message(line, kind, message):
    with pytest.raises(kind) as info:
        trace(line)
    assert str(info.value).splitlines()[0] == message
