# SPDX-License-Identifier: MIT
"""Tensors that a framework does not hand out, and pass configs of a wrong type: which argument, and what to pass."""

import warnings

import numpy as np
import pytest
import tilescale
import tilescale.language as T
import torch

SIM = {"kind": "sim", "arch": "sm_80"}


@T.prim_func
def double(A: T.Tensor((8,), "float32"), B: T.Tensor((8,), "float32")):
    with T.Kernel(1, threads=32):
        for i in T.Parallel(8):
            B[i] = A[i] * 2.0


@pytest.fixture(scope="module")
def kernel():
    return tilescale.compile(double, target=SIM)


def frozen():
    x = np.zeros(8, np.float32)
    x.flags.writeable = False
    return x


def nested():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that its nested tensors may change
        return torch.nested.nested_tensor([torch.zeros(3), torch.zeros(4)])


def quantized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.zeros(8), 0.1, 0, torch.qint8)


REFUSED = {
    "read-only": (frozen, "is a read-only array, which numpy does not hand out: pass x.copy()"),
    "big-endian": (
        lambda: np.zeros(8, ">f4"),
        "has elements of >f4, of another byte order than this machine: pass x.astype(x.dtype.newbyteorder('='))",
    ),
    "objects": (
        lambda: np.zeros(8, object),
        "has elements of object, which no kernel takes: pass x.astype('float32')",
    ),
    "structures": (
        lambda: np.zeros(8, [("x", "f4")]),
        "has elements of [('x', '<f4')], which no kernel takes: pass x.astype('float32')",
    ),
    "texts": (
        lambda: np.array(["a"] * 8),
        "has elements of <U1, which no kernel takes: pass x.astype('float32')",
    ),
    "sparse": (
        lambda: torch.zeros(8).to_sparse(),
        "is a sparse tensor (torch.sparse_coo): pass x.to_dense()",
    ),
    "meta": (
        lambda: torch.zeros(8, device="meta"),
        "is on the device meta and has no elements: pass a tensor of a real device",
    ),
    "quantized": (
        quantized,
        "is a quantized tensor (torch.qint8): pass x.int_repr() or x.dequantize()",
    ),
    "nested": (
        nested,
        "is a nested tensor: pass x.to_padded_tensor(0.0), or each of x.unbind()",
    ),
}


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(kernel, name, position):
    make, why = REFUSED[name]
    good = np.zeros(8, np.float32)
    args = (make(), good) if position == 0 else (good, make())
    with pytest.raises(TypeError) as error:
        kernel(*args)
    assert str(error.value) == f"double.{'AB'[position]} {why}"
    with pytest.raises(TypeError) as error:
        kernel(args[0], B=args[1])
    assert str(error.value) == f"double.{'AB'[position]} {why}"


def test_what_is_no_tensor(kernel):
    with pytest.raises(TypeError) as error:
        kernel([1.0] * 8, np.zeros(8, np.float32))
    assert str(error.value) == (
        "Expect arg[0] to be pointer: double.A is a tensor, got an object of another type; pass a tensor of torch, "
        "numpy or another DLPack framework"
    )


CONFIGS = {
    "a text for a bool": (
        {"tl.disable_safe_memory_legalize": "yes"},
        tilescale.CompileError,
        "pass config \"tl.disable_safe_memory_legalize\" must be True or False, got 'yes'",
    ),
    "a text for a number": (
        {"tl.max_registers": "x"},
        TypeError,
        "pass config \"tl.max_registers\" must be a constant integer, got 'x'",
    ),
    "a number out of range": (
        {"tl.max_registers": 4000},
        tilescale.CompileError,
        'pass config "tl.max_registers" must be from 0 (no limit) to 255, got 4000',
    ),
    "a list": (
        ["tl.max_registers"],
        TypeError,
        "pass_configs is a dictionary such as {\"tl.enable_fast_math\": True}, got ['tl.max_registers']",
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_pass_configs(name):
    given, kind, text = CONFIGS[name]
    with pytest.raises(kind) as error:
        tilescale.compile(double, target=SIM, pass_configs=given)
    assert type(error.value) is kind and str(error.value) == text
