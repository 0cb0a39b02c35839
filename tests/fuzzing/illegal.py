# SPDX-License-Identifier: MIT
"""Illegal programs: each is one mistake among legal statements. The line of the mistake ends in `# here`."""

from __future__ import annotations

import random
from collections.abc import Callable

from .program import Program

HERE = "  # here"


class Faulty:
    """Names, sizes and statements that a mistake is put between."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.m, self.n = rng.choice((4, 7, 16, 33, 64)), rng.choice((5, 8, 32, 100, 128))
        self.threads: int | str = rng.choice((32, 64, 96, 128))
        self.dtype = rng.choice(("float32", "float16", "bfloat16", "int32"))

    def legal(self) -> list[str]:
        return self.rng.choice(
            (
                [],
                ["T.sync_threads()"],
                ["T.clear(f)"],
                [f"for i, j in T.Parallel({self.m}, {self.n}):", "    s[i, j] = f[i, j]"],
                ["T.copy(f, s)"],
                [f"for k in T.serial({self.rng.randint(1, 4)}):", "    T.copy(s, f)"],
            )
        )

    def loop(self, body: str) -> list[str]:
        return [f"for i, j in T.Parallel({self.m}, {self.n}):", "    " + body + HERE]


def wrong_rank(x: Faulty) -> list[str]:
    return x.rng.choice(
        (
            ["q = s[0, 0, 0]" + HERE],
            x.loop("f[i, j] = s[i, j, 0]"),
            x.loop("A[i] = f[i, j]"),
            x.loop("s[i, j, i] = f[i, j]"),
        )
    )


def undefined_name(x: Faulty) -> list[str]:
    return x.rng.choice((["T.copy(nothing, f)" + HERE], x.loop("f[i, j] = missing[i, j]"), ["T.nonsense(f)" + HERE]))


def used_after_scope(x: Faulty) -> list[str]:
    return [
        f"for k in T.serial({x.rng.randint(2, 5)}):",
        f'    inner = T.alloc_fragment(({x.m}, {x.n}), "{x.dtype}")',
        "    T.clear(inner)",
        "T.copy(inner, f)" + HERE,
    ]


def copy_shapes(x: Faulty) -> list[str]:
    return x.rng.choice(
        (
            [f"T.copy(s[0:{x.m}, 0:{x.n - 1}], f)" + HERE],
            [f'u = T.alloc_shared(({x.m}, {x.n + 1}), "{x.dtype}")', "T.copy(u, f)" + HERE],
            ["T.copy(A[0, 0], B[0, 0, 0, 0])" + HERE],
        )
    )


def gemm_shapes(x: Faulty) -> list[str]:
    k = x.rng.choice((16, 32))
    m, n = x.rng.choice(((16, 17), (32, 16), (48, 64)))
    wrong = x.rng.choice(((m, k, n, k + 16), (m + 16, k, n, k), (m, k, n + 8, k)))
    return [
        f'ga = T.alloc_shared(({wrong[0]}, {wrong[1]}), "float16")',
        f'gb = T.alloc_shared(({wrong[3]}, {wrong[2]}), "float16")',
        f'gc = T.alloc_fragment(({m}, {n}), "float32")',
        "T.gemm(ga, gb, gc)" + HERE,
    ]


def gemm_rank(x: Faulty) -> list[str]:
    return [
        'ga = T.alloc_shared((32,), "float16")',
        'gc = T.alloc_fragment((16, 16), "float32")',
        "T.gemm(ga, ga, gc)" + HERE,
    ]


def reduce_mistakes(x: Faulty) -> list[str]:
    return [
        f'r = T.alloc_fragment(({x.m + 1},), "{x.dtype}")',
        x.rng.choice(("T.reduce_sum(f, r, dim=1)", "T.reduce_max(f, r, dim=2)", "T.reduce_sum(f, r, dim=-3)")) + HERE,
    ]


def scan_mistakes(x: Faulty) -> list[str]:
    return [f"T.cumsum(f, dim={x.rng.choice((2, 5, -4))})" + HERE]


def fill_out_of_range(x: Faulty) -> list[str]:
    return [f"T.fill(s[0:{x.m}, {x.n}:{x.n + 3}], 1)" + HERE]


def bad_dtype(x: Faulty) -> list[str]:
    name = x.rng.choice(("float31", "int33", "quux", "float"))
    return x.rng.choice(
        (
            [f'u = T.alloc_shared((4, 4), "{name}x")' + HERE],
            x.loop(f'f[i, j] = T.cast(s[i, j], "{name}y")'),
        )
    )


def narrow_arithmetic(x: Faulty) -> list[str]:
    dtype = x.rng.choice(("float8_e4m3fn", "float8_e5m2"))
    operation = x.rng.choice(("u[i] + u[i]", "T.max(u[i], u[i])", "-u[i]", "T.exp(u[i])", "u[i] < u[i]"))
    return [
        f'u = T.alloc_shared(({x.n},), "{dtype}")',
        "T.clear(u)",
        f"for i in T.Parallel({x.n}):",
        f"    u[i] = {operation}" + HERE,
    ]


def bad_shape(x: Faulty) -> list[str]:
    return x.rng.choice(
        (
            ['u = T.alloc_shared((0, 4), "float32")' + HERE],
            ['u = T.alloc_fragment((-3, 4), "float32")' + HERE],
            ['u = T.alloc_shared((n_dyn, 4), "float32")' + HERE],
            ['u = T.alloc_fragment(("a", 4), "float32")' + HERE],
        )
    )


def race(x: Faulty) -> list[str]:
    """Two points of a nest write one element, or one reads what another writes."""
    return x.rng.choice(
        (
            x.loop("s[0, j] = s[0, j] + 1"),
            x.loop("A[0, j] = A[i, j] + 1"),
            x.loop("s[i, 0] = s[i, j]"),
        )
    )


def shared_too_large(x: Faulty) -> list[str]:
    kb = x.rng.choice((228, 300, 1000))
    return [f'u = T.alloc_shared(({kb}, 256), "float32")', "T.clear(u)", "T.copy(u[0:4, 0:4], A[0, 0])"]


def too_many_threads(x: Faulty) -> list[str]:
    x.threads = x.rng.choice((1025, 2048, 0, -32))
    return x.legal()


def fragment_index(x: Faulty) -> list[str]:
    return x.rng.choice(
        (
            x.loop(f"f[(i * j) % {x.m}, j] = s[i, j]"),
            ["for k in T.serial(2):", "    f[k, 1] = 0" + HERE],
            x.loop(f"s[i, j] = f[i, (j * 3) % {x.n}]"),
        )
    )


def local_by_parallel(x: Faulty) -> list[str]:
    return [
        f'l = T.alloc_local(({x.m},), "float32")',
        *x.loop("l[i] = 1"),
    ]


def nested(x: Faulty) -> list[str]:
    tile = x.rng.choice(("T.copy(s, f)", "T.clear(f)", "T.reduce_sum(f, r)"))
    return x.rng.choice(
        (
            [f"for i in T.Parallel({x.m}):", f"    {tile.replace('r)', 'f)')}" + HERE],
            [
                f"for i in T.Parallel({x.m}):",
                "    s[i, 0] = 1",
                f"    for j in T.Parallel({x.n}):" + HERE,
                "        s[i, j] = 1",
            ],
            [
                f"for i in T.Parallel({x.m}):",
                "    for k in T.Pipelined(4, num_stages=2):" + HERE,
                "        s[i, k] = 1",
            ],
        )
    )


def divergent(x: Faulty) -> list[str]:
    """A collective statement that only some threads reach."""
    return [
        "tx = T.get_thread_binding()",
        f"if tx % {x.rng.randint(2, 5)} == {x.rng.randint(0, 1)}:",
        "    " + x.rng.choice(("T.copy(s, f)", "T.clear(f)", "T.copy(f, A[0, 0])")) + HERE,
    ]


def view_sizes(x: Faulty) -> list[str]:
    return [f"v = T.{x.rng.choice(('reshape', 'view'))}(s, ({x.m * x.n + 1},))" + HERE]


def wrong_arguments(x: Faulty) -> list[str]:
    return [
        x.rng.choice(
            (
                "T.copy(s)",
                "T.copy(s, f, colour=3)",
                "T.gemm(s, f)",
                "T.clear()",
                "T.fill(f)",
                "T.reduce_sum(f)",
                "T.copy(3, f)",
                'T.fill(s, "text")',
                "T.atomic_add(f[0, 0], 1)",
                'T.copy(A[0, 0], f, prefer_instruction="magic")',
            )
        )
        + HERE
    ]


def atomic_mistakes(x: Faulty) -> list[str]:
    return [
        x.rng.choice(
            (
                "T.atomic_add(f, s)",
                'T.atomic_add(A[0, 0], 1, memory_order="loose")',
                'T.atomic_load(A[0, 0], memory_order="release")',
                "T.atomic_add(A, s, return_prev=True)",
                "T.atomic_add(3, 4)",
            )
        )
        + HERE
    ]


def python_misuse(x: Faulty) -> list[str]:
    return x.rng.choice(
        (
            x.loop("f[i, j] = [1, 2]"),
            x.loop("f[i, j] = None"),
            x.loop('f[i, j] = "one"'),
            ["for i in s:" + HERE, "    pass"],
            ["q = s + 1" + HERE],
            ["q = f @ f" + HERE],
            x.loop("f[i, j] = s[i, j](3)"),
            x.loop("f[i, j] = s[i, j].shape"),
            ["while True:", "    yield 3" + HERE],
            ["q = int(A[0, 0])" + HERE],
            ["q = range(A[0, 0])" + HERE],
        )
    )


def loop_mistakes(x: Faulty) -> list[str]:
    return x.rng.choice(
        (
            ["for k in T.serial(0, 4, 0):" + HERE, "    T.clear(f)"],
            ["for k in T.Pipelined(4, num_stages=-1):" + HERE, "    T.copy(s, f)"],
            ["for k in T.unroll(4, explicit=True, unroll_factor=2):" + HERE, "    T.clear(f)"],
            ["for i, j in T.Parallel(4):" + HERE, "    s[i, j] = 0"],
            ["for i in T.Parallel(2.5):" + HERE, "    s[i, 0] = 0"],
            ["for k in T.Pipelined(4, order=[0, 0], stage=[0, 1]):" + HERE, "    T.copy(s, f)", "    T.copy(f, s)"],
            ["break" + HERE],
        )
    )


def unset(x: Faulty) -> list[str]:
    """A cell that is read and never written."""
    return ['c = T.alloc_var("int32")', *x.loop("s[i, j] = c")]


MISTAKES: tuple[Callable[[Faulty], list[str]], ...] = (
    wrong_rank,
    undefined_name,
    used_after_scope,
    copy_shapes,
    gemm_shapes,
    gemm_rank,
    reduce_mistakes,
    scan_mistakes,
    fill_out_of_range,
    bad_dtype,
    narrow_arithmetic,
    bad_shape,
    race,
    shared_too_large,
    too_many_threads,
    fragment_index,
    local_by_parallel,
    nested,
    divergent,
    view_sizes,
    wrong_arguments,
    atomic_mistakes,
    python_misuse,
    loop_mistakes,
    unset,
)


def generate(seed: int) -> Program:
    rng = random.Random(seed)
    x = Faulty(rng)
    mistake = rng.choice(MISTAKES)
    fault = mistake(x)
    body = [*x.legal(), *fault, *x.legal()]
    lines = [
        'n_dyn = T.dynamic("n_dyn")',
        "@T.prim_func",
        f'def fuzz_{seed}(A: T.Tensor((n_dyn, {x.n}), "{x.dtype}"), B: T.Tensor((2, 2, 3, 4), "{x.dtype}")):',
        f"    with T.Kernel(2, threads={x.threads}) as bx:",
        f'        s = T.alloc_shared(({x.m}, {x.n}), "{x.dtype}")',
        f'        f = T.alloc_fragment(({x.m}, {x.n}), "{x.dtype}")',
        "        T.copy(A[bx, 0], s)",
        "        T.copy(s, f)",
        *("        " + line for line in body),
        f"        T.copy(f, A[bx * {x.m}, 0])",
        "",
    ]
    marked = [i + 1 for i, line in enumerate(lines) if line.endswith(HERE)]
    return Program(
        seed,
        "\n".join(lines),
        f"fuzz_{seed}",
        arch=rng.choice(("sm_80", "sm_86", "sm_89", "sm_90a")),
        illegal=mistake.__name__,
        error_line=marked[0] if marked else 0,
    )
