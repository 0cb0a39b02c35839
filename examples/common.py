# SPDX-License-Identifier: MIT
"""What the examples share: where their tensors live, poisoned outputs, and how a result is judged."""

import torch
from tilelang.utils.target import determine_target

DEVICE = "cuda" if determine_target("auto") == "cuda" else "cpu"


def normal(*shape, dtype=torch.float32):
    """Fresh normal data."""
    return torch.randn(*shape, device=DEVICE).to(dtype)


def poisoned(*shape, dtype=torch.float32):
    """An output that is wrong wherever the kernel does not write it."""
    if dtype.is_floating_point:
        return torch.full(shape, float("nan"), device=DEVICE).to(dtype)
    return torch.full(shape, torch.iinfo(dtype).min, device=DEVICE, dtype=dtype)


def relative_error(result, reference):
    """Largest difference from a float64 reference, relative to its largest element; nan if anything is unwritten."""
    return float((result.double() - reference).abs().max() / reference.abs().max())


def check(name, error, bound):
    """Prints one line and stops the run if the error is too large."""
    print(f"{name}: error {error:.1e}")
    if not error <= bound:
        raise SystemExit(f"{name}: the result is wrong, the bound is {bound:.0e}")
