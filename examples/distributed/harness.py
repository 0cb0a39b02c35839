# SPDX-License-Identifier: MIT
"""What the programs of several ranks share: data in and out of symmetric tensors, ranks that come late, judging."""

import argparse

import numpy as np
import tilescale
import tilescale.language as T
from tilescale.distributed import PerRank
from tilescale.targets import Target


def rounded(values, dtype):
    """Of numpy's dtypes, or bfloat16 as float32 with that precision."""
    if dtype != "bfloat16":
        return values.astype(dtype)
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def fill(part, values):
    """Copies a numpy array into a rank's tensor."""
    if hasattr(part, "copy_"):
        import torch

        part.copy_(torch.from_numpy(values))
    else:
        part[...] = values


def numbers(part):
    if "bfloat16" in str(part.dtype):
        part = part.float()
    return part.cpu().numpy() if hasattr(part, "cpu") else np.array(part)


def normal(ranks, *shape, dtype=np.float32):
    """Fresh normal data, different on each rank."""
    return rounded(np.random.default_rng().standard_normal((ranks, *shape)), dtype)


def spread(tensor, values):
    """Gives each rank its part of an array."""
    for r, part in enumerate(tensor):
        fill(part, np.ascontiguousarray(values[r]))


def poison(*tensors):
    """Makes a tensor wrong wherever the kernels do not write it."""
    for tensor in tensors:
        kind = np.dtype(str(tensor.dtype).replace("bfloat16", "float32"))
        wrong = np.nan if kind.kind == "f" else np.iinfo(kind).min
        spread(tensor, np.full((len(tensor), *tensor.shape), wrong, kind))


def gathered(tensor):
    """Every rank's part, as one array."""
    return np.stack([numbers(part) for part in tensor])


def whole(blocks, columns):
    """A matrix of its blocks, one a rank, `columns` in a row."""
    return np.block([list(blocks[r : r + columns]) for r in range(0, len(blocks), columns)])


def wrong(got, want):
    """How many elements differ; an unwritten one does."""
    return float((got != want).sum())


def error(got, want):
    """The largest difference relative to the largest element; nan if anything is unwritten."""
    want = np.asarray(want, np.float64)
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


class Late:
    """Called before a launch: each rank's next kernel starts after a random time of its own."""

    def __init__(self, w):
        @T.prim_func
        def idle(sink: T.Tensor((1,), "int32"), turns: T.int32):
            with T.Kernel(1, threads=1):
                for i in T.serial(turns):
                    T.st(T.address_of(sink[0]), i, sem="volatile")

        self.world, self.most = w, 100000 if w.on_gpu else 200
        self.kernel = tilescale.compile(idle, target=w.target)
        self.sink = w.tensor((1,), "int32", name="sink")

    def __call__(self):
        turns = np.random.default_rng().integers(0, self.most, self.world.ranks)
        self.world.launch(self.kernel, self.sink, PerRank([int(n) for n in turns]))


def copy_program(src, dst, threads=128):
    """`dst` = `src` in row-major order: a kernel that reads behind another one what must have come by then."""
    elements, dtype = int(np.prod(src.shape)), str(src.dtype)

    @T.prim_func
    def keep(A: T.Tensor(src.shape, dtype), B: T.Tensor(dst.shape, dtype)):
        with T.Kernel(1, threads=threads):
            a, b = T.reshape(A, (elements,)), T.reshape(B, (elements,))
            for i in T.Parallel(elements):
                b[i] = a[i]

    return keep


def main(name, doc, run, bound, arguments=None, ranks=2):
    """The command line of a program: run(ranks, target) gives the error, which must not be above the bound."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--ranks", type=int, default=ranks)
    parser.add_argument("--target", default=None)
    options = parser.parse_args(arguments)
    found = run(options.ranks, options.target)
    where = Target(options.target).text.split()[0]
    verdict = "no races" if where == "sim" else "ran on the GPU"
    print(f"{name}, {options.ranks} ranks on {where}: error {found:.1e}, {verdict}")
    if not found <= bound:
        raise SystemExit(f"{name}: the result is wrong, the bound is {bound:.0e}")
    return found
