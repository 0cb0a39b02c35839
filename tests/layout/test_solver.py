# SPDX-License-Identifier: MIT
"""The layout solver: worked examples as text, agreement with the reference solver, families, conflicts, determinism."""

import contextlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layout.core import core
from tests.layout.oracle.modes import NotExpressible
from tests.layout.oracle.programs import examples, rows, transpose_example
from tests.layout.oracle.solver import Anchor, Frag, Mem, Nest, Reduce, Scan, explain, row_major, solve

ROOT = Path(__file__).resolve().parents[2]
MMA_C = "16,8 | 8:4t 2:2s | 2:1s 4:1t"


def index_text(index):
    def one(e):
        if e is None:
            return "."
        return f"{e[0]}/{e[1]}" if isinstance(e, tuple) else str(e)

    return " ".join(map(one, index))


def program_text(ops, frags, threads):
    """A program of the reference solver as text. The reference counts the registers of all fragments together."""
    out = [f"threads {threads}"]
    out += [f"fragment {f.name} {','.join(map(str, f.shape))} {f.bits} live 0 {len(ops)}" for f in frags]
    for o in ops:
        if isinstance(o, Nest):
            out.append(f"nest {o.name} {','.join(map(str, o.shape))} ops {o.ops}")
            out += [f"  read {name} {index_text(index)}" for name, index in o.reads]
            out += [f"  write {name} {index_text(index)}" for name, index in o.writes]
            for m in o.mem:
                out.append(f"  {m.space} {'store' if m.store else 'load'} {m.name}: bits {m.bits}: {m.layout}")
        elif isinstance(o, Reduce):
            out.append(f"reduce {o.src} {o.dst} {o.dim}")
        elif isinstance(o, Scan):
            out.append(f"scan {o.src} {o.dim}")
        elif isinstance(o, Anchor):
            out.append(f"anchor {o.use} {o.name}: {o.layout}: {o.why}")
    return "\n".join(out)


def layout_of(text, name):
    """The layout of a variable in an explanation."""
    line = next(x for x in text.splitlines() if x.split(" ")[0] == name)
    return line[max(len(name), 8) + 1 :].split("    [")[0]


def lines(*parts):
    return "\n".join(parts)


# -- worked examples: what the design promises, and the whole explanation of the reference
EXPECT = {
    "1 gemm epilogue with bias": (
        {
            "C": "128,128 | 8:4t 2:2s 4:32s 2:32t | 2:1s 4:1t 8:4s 2:64t",
            "b": "128 | 2:1s 4:1t 8:2s 2:64t | rep 16:4t",
            "store": "128,128 | 8:4t 2:2s 4:32s 2:32t | 2:1s 4:1t 8:4s 2:64t",
        },
        [],
    ),
    "2 attention, wgmma, 2 warpgroups": (
        {
            "m": "128 | 8:4t 2:1s 8:32t | rep 4:1t",
            "P": "128,128 | 8:4t 2:2s 8:32t | 2:1s 4:1t 16:4s",
        },
        [],
    ),
    "2b the same with fp8 P": (
        {"P": "128,128 | 8:4t 2:2s 8:32t | 2:1s 4:1t 16:4s"},
        ["shuffle, 64 values a thread", "cost 256 -> 128,128 | 8:4t 2:4s 8:32t | 4:1s 4:1t 8:8s"],
    ),
    "3 softmax 4x300": ({"x": "4,300 | 4:32t | 4:1s 32:1t 3:4s", "m": "4 | 4:32t | rep 32:1t"}, []),
    "4 column sum 128x64": ({"x": "128,64 | 4:32t 32:2s | 2:1s 32:1t", "s": "64 | 2:1s 32:1t | rep 4:32t"}, []),
    "6a layernorm 1x257, 96 threads": (
        {"x": "1,257 |  | 32:1t 9:1s | rep 3:32t", "m": "1 |  | rep 96:1t", "store": "1,257 |  | 96:1t 3:1s"},
        [],
    ),
    "6b layernorm 8x257, 96 threads": (
        {"x": "8,257 | 3:32t 3:9s | 32:1t 9:1s", "m": "8 | 3:32t 3:1s | rep 32:1t"},
        [],
    ),
    "6c long row 1x4096 fp16, 256 threads": ({"x": "1,4096 |  | 8:1s 256:1t 2:8s"}, []),
    "7 int4 unpack into an mma operand B": (
        {"q": "64,32 | 64:2t | 16:1s 2:1t"},
        ["convert q for unpack: shared", "2048 bytes"],
    ),
    "8 elementwise 3x5x40 fp16": ({"f": "3,5,40 | 3:25t | 5:5t | 8:1s 5:1t"}, []),
    "9 cumsum 4x256": ({"x": "4,256 | 4:32t | 4:1s 32:1t 2:4s"}, []),
    "10 softmax 1x20: fewer elements than threads": ({"x": "1,20 |  | 4:1s 5:1t | rep 16:8t"}, []),
}


@pytest.mark.parametrize("name", list(EXPECT))
def test_worked_examples(name):
    program = examples()[name]
    got = core.solve(program_text(*program), False)
    want, converts = EXPECT[name]
    assert {v: layout_of(got, v) for v in want} == want
    found = [x for x in got.splitlines() if x.startswith("  convert ")]
    assert len(found) == (1 if converts else 0)
    assert all(part in found[0] for part in converts)
    assert got == explain(solve(*program))


def random_rows(r):
    return rows(r.randint(1, 9), r.randint(1, 400), r.choice([32, 64, 96, 128, 160, 256]), r.choice([16, 32]))


def random_program(r):
    """Chains of elementwise nests, reductions, broadcasts and scans over fragments of any extent."""
    m, n = r.randint(1, 40), r.choice([r.randint(1, 200), 8 * r.randint(1, 16)])
    threads, bits = r.choice([32, 64, 96, 128, 256]), r.choice([8, 16, 32])
    sq, x = (m, n), ("x", (0, 1))
    memory = row_major(sq, n + r.choice([0, 0, 8, 3]))
    ops = [Nest("load", sq, (), (x,), (Mem("ld X", "global", memory, bits),))]
    frags = [Frag("x", sq, bits)]
    if r.random() < 0.5:
        ops.append(Nest("bias", (n,), (), (("b", (0,)),), (Mem("ld B", "global", row_major((n,)), 32),)))
        ops.append(Nest("add", sq, (x, ("b", (1,))), (x,), (), r.randint(1, 4)))
        frags.append(Frag("b", (n,), 32))
    kind = r.choice(["rows", "columns", "scan", "none"])
    if kind == "scan":
        ops.append(Scan("x", 1))
    elif kind != "none":
        dim = 1 if kind == "rows" else 0
        ops.append(Reduce("x", "s", dim))
        frags.append(Frag("s", (sq[1 - dim],), 32))
        ops.append(Nest("scale", sq, (x, ("s", (1 - dim,))), (x,)))
    out = row_major(sq) if r.random() < 0.7 else row_major((n, m)).permute((1, 0))
    ops.append(Nest("store", sq, (x,), (), (Mem("st Y", "global", out, r.choice([bits, 16]), True),)))
    return ops, frags, threads


@pytest.mark.parametrize("make", [random_rows, random_program])
def test_agrees_with_the_reference(make):
    r = random.Random(make.__name__)
    for _ in range(12):
        program = make(r)
        text = program_text(*program)
        assert core.solve(text, False) == explain(solve(*program)), text


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("make", [random_rows, random_program])
def test_agrees_with_the_reference_on_fresh_programs(make):
    for _ in range(150):
        seed = random.SystemRandom().randrange(1 << 48)
        program = make(random.Random(seed))
        got = core.solve(program_text(*program), False)
        try:
            want = explain(solve(*program))
        except NotExpressible:
            continue  # no layout without a conversion inside a class: the core then takes one, and has answered
        assert got == want, seed


# -- shared families
FAMILIES = ["linear", "swizzle 128", "swizzle 64", "swizzle 32", "pad 8", "pad 2"]


def buffer_text(name, shape, bits):
    out = [f"buffer {name}"]
    for family in FAMILIES:
        with contextlib.suppress(NotExpressible):
            out.append(f"  option {family}: {core.shared_layout(shape, bits, family)}")
    return out


def transpose_text():
    return lines(
        "threads 128",
        *buffer_text("S", [64, 64], 16),
        "nest in 64,64",
        "  global load ld A: bits 16: 64,64 | 64:64a | 64:1a",
        "  shared store st S: bits 16: of S: 64,64 | 64:1@0 | 64:1@1",
        "nest out 64,64",
        "  shared load ld S: bits 16: of S: 64,64 | 64:1@1 | 64:1@0",
        "  global store st B: bits 16: 64,64 | 64:64a | 64:1a",
    )


def test_transpose_takes_a_conflict_free_family_with_both_nests():
    got = core.solve(transpose_text(), False)
    assert layout_of(got, "in") == "64,64 | 16:8t 4:8s | 8:1s 8:1t"
    assert "\nS        swizzle 128    [linear " in got
    assert got.count("bit, 64 wavefronts (ideal 64)") == 2


@pytest.mark.slow
def test_families_are_chosen_as_if_the_program_were_solved_for_each():
    """What the reference does."""
    got = core.solve(transpose_text(), False)
    (name, best), costs = transpose_example()
    assert name == "swizzle 128"
    assert str(best.layouts["out"]) == layout_of(got, "out")
    assert f"  cost {best.cost}" in got
    assert dict(costs)["linear"] > 1.3 * best.cost


def test_matrix_reads_rule_out_unaligned_rows_and_prefer_a_swizzle():
    text = lines(
        "threads 128",
        *buffer_text("S", [128, 32], 16),
        "nest in 128,32",
        "  global load ld A: bits 16: 128,32 | 128:1024a | 32:1a",
        "  shared store st S: bits 16: of S: 128,32 | 128:1@0 | 32:1@1",
        "matrix_reads S 16 0 64",
    )
    got = core.solve(text, False)
    assert "\nS        swizzle 64    [" in got
    assert "pad 2 a user cannot access it]" in got


# -- conflicts
def test_a_nest_of_two_anchors_writes_one_through_a_temporary():
    c, d = core.make_block("C", MMA_C, 64, 64, 2, 2), core.make_block("C", MMA_C, 64, 64, 4, 1)
    got = core.solve(
        lines(
            "threads 128",
            "fragment C 64,64 32",
            "fragment D 64,64 32",
            f"anchor def C: {c}: T.gemm 2x2 warps",
            f"anchor def D: {d}: T.gemm 4x1 warps",
            "nest both 64,64",
            "  write C 0 1",
            "  write D 0 1",
        ),
        False,
    )
    assert layout_of(got, "C") == c
    assert layout_of(got, "D") == d
    assert "  convert D from both: shared, " in got
    assert got.splitlines()[-2].endswith(f"-> {d}")


def test_loop_layout_against_an_annotation_is_the_users_conflict():
    text = lines(
        "threads 32",
        "fragment f 32,8 32",
        "anchor annotated f: 32,8 | 32:1t | 8:1s: annotate_layout at line 3",
        "nest fill 32,8",
        "  loop_layout 32,8 | 32:1s | 8:1t: loop_layout at line 5",
        "  write f 0 1",
    )
    with pytest.raises(NotExpressible) as error:
        core.solve(text, False)
    assert str(error.value) == (
        "Layout infer conflict: fill (loop_layout at line 5) writes f with threads that do not own it (annotate_layout "
        "at line 3): expected owners 32,8 | 32:1t | 8:1s, got 32,8 | 32:1s | 8:1t"
    )
    same_owners = text.replace("32,8 | 32:1s | 8:1t: loop_layout", "32,8 | 32:1t | 8:1s: loop_layout")
    assert layout_of(core.solve(same_owners, False), "fill") == "32,8 | 32:1t | 8:1s"


def test_a_reduction_of_an_unsuitable_annotation_converts_first():
    got = core.solve(
        lines(
            "threads 96",
            "fragment x 4,257 32",
            "fragment s 4 32",
            "anchor annotated x: 4,257 | *2 96:1t 11:1s: annotate_layout at line 2",
            "reduce x s 1",
        ),
        False,
    )
    assert layout_of(got, "x") == "4,257 | *2 96:1t 11:1s"
    assert "  convert x for a reduction: shared, " in got
    assert "reduce x over 1: slots " in got


def test_views_take_the_layout_of_their_storage():
    text = lines(
        "threads 128",
        "fragment x 64,64 32",
        "fragment y 4096 32",
        "fragment z 64,64 32",
        "anchor def x: " + core.make_block("C", MMA_C, 64, 64, 2, 2) + ": T.gemm",
        "view x y reshape",
        "view x z permute 1 0",
    )
    got = core.solve(text, False)
    assert layout_of(got, "y") == core.normal(core.reshape(layout_of(got, "x"), [4096]))
    assert layout_of(got, "z") == core.normal(core.permute(layout_of(got, "x"), [1, 0]))
    clash = text + "\nanchor def y: 4096 | 128:1t 32:1s: T.gemm"
    with pytest.raises(NotExpressible, match="y cannot view x: it has 4096"):
        core.solve(clash, False)


def test_regions_of_a_fragment_are_checked_and_converted():
    """A nest over half of a fragment, at an offset."""
    got = core.solve(
        lines(
            "threads 32",
            "fragment f 64 32",
            "nest load 64",
            "  write f 0",
            "  global load ld F: bits 32: 64 | 64:1a",
            "nest half 32",
            "  read f 0+32",
            "  global store st G: bits 32: 32 | 32:1a",
        ),
        False,
    )
    assert layout_of(got, "f") == "64 | 2:1s 32:1t"
    assert layout_of(got, "half") in ("32 | 2:1s 16:1t | off 16t", "32 | 32:1t")


# -- registers, weights, threads
def test_registers_count_what_is_live_together():
    def program(second):
        return lines(
            "threads 32",
            "fragment a 32,64 32",
            f"fragment b 32,64 32{second}",
            "nest one 32,64",
            "  write a 0 1",
            "  global load ld A: bits 32: 32,64 | 32:64a | 64:1a",
            "nest two 32,64",
            "  write b 0 1",
            "  global load ld B: bits 32: 32,64 | 32:64a | 64:1a",
        )

    assert "  64 registers a thread" in core.solve(program(""), False)
    assert "  128 registers a thread" in core.solve(program(" live 0 1"), False)


def test_a_role_has_its_own_threads():
    got = core.solve(
        lines(
            "threads 128",
            "nest produce 64,64 threads 32",
            "  global load ld A: bits 16: 64,64 | 64:64a | 64:1a",
        ),
        False,
    )
    assert int(core.extent(layout_of(got, "produce"), "thread")) == 32


# -- robustness and determinism
@pytest.mark.parametrize(
    "text, why",
    [
        ("threads x", 'line 1: expected a number, got "x"'),
        ("fragment f 4", "line 1: expected 3 words after fragment"),
        ("reduce a b 1", 'line 1: nothing is named "a"'),
        ("fragment f 4 32\nnest n 4\n  read f 1", "line 3: no such loop variable"),
        ("fragment f 4,4 32\nnest n 4\n  read f 0", "line 3: expected one index a dim of f"),
        ("frob", 'line 1: unknown item "frob"'),
    ],
)
def test_program_text_errors(text, why):
    with pytest.raises(NotExpressible) as error:
        core.solve(text, False)
    assert str(error.value) == why


def test_explain_is_the_same_in_another_process():
    text = program_text(*examples()["7 int4 unpack into an mma operand B"])
    code = "import sys\nfrom tests.layout.core import core\nsys.stdout.write(core.solve(sys.stdin.read(), True))\n"
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "python")]), PYTHONHASHSEED="random")
    again = subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, text=True, env=env, check=True, timeout=120
    ).stdout
    got = core.solve(text, True)
    assert again == got
    assert "options of q load\n" in got
    assert got.count("\n  * ") == 1


@pytest.mark.parametrize("seed", range(20))
def test_every_row_program_has_an_answer(seed):
    r = random.Random(seed)
    for _ in range(20):
        ops, frags, threads = random_rows(r)
        got = core.solve(program_text(ops, frags, threads), False)
        for name in ("x", "m", "l", "load", "exp", "store"):
            found = layout_of(got, name)
            assert core.injective(found) == "yes"
            assert int(core.extent(found, "thread")) <= threads
        assert "convert x" not in got
