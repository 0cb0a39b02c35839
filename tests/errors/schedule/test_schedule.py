# SPDX-License-Identifier: MIT
"""Schedules that break a rule (S1 to S6), and what the user is told, exactly."""

import pytest
from tilescale.errors import CompileError

from tests.schedule.programs import gemm, lower

ROLES = "role math warps 0..4 role load warps 4..6 "
PIPE = "pipe ab (%As, %Bs) depth 2 from load(cp_async) to math "
LOOP = """loop %ko {
  load: acquire ab; do copy_A; do copy_B; commit ab
  math: wait ab; do gemm; release ab
} """
GOOD = ROLES + PIPE + LOOP
ALONE = "role all warps 0..4 "
LOCAL = "pipe ab (%As, %Bs) depth 2 from all(cp_async) to all "


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def ahead(shift: int, wait: str = "wait ab") -> str:
    steps = f"acquire ab +{shift}; do copy_A +{shift}; do copy_B +{shift}; commit ab +{shift}"
    return f"{ALONE}{LOCAL}loop %ko {{ all: {wait}; {steps}; do gemm }}"


CROSSED = f"""{ROLES}
pipe a (%As) depth 1 from load(cp_async) to math
pipe b (%Bs) depth 1 from math(cp_async) to load
loop %ko {{
  load: wait b; acquire a; do copy_A; commit a; release b
  math: wait a; acquire b; do copy_B; do gemm; commit b; release a
}}"""

NO_CREDIT = f"""{ROLES}
pipe a (%As) depth 1 from load(cp_async) to math
pipe b (%Bs) depth 1 from load(cp_async) to math
loop %ko {{
  load: acquire a; do copy_A; commit a; acquire b +1; do copy_B +1; commit b +1
  math: wait b; wait a +1; do gemm; release a +1; release b
}}"""

UNPIPED = f"""{ROLES}
pipe a (%As) depth 2 from load(cp_async) to math
loop %ko {{
  load: acquire a; do copy_A; commit a; do copy_B
  math: wait a; do gemm; release a
}}"""

BARRIERS = (
    " ".join(f"role r{i} warps {2 * i}..{2 * i + 2}" for i in range(16))
    + """
pipe ab (%As, %Bs) depth 2 from r1(cp_async) to r0
loop %ko { r1: acquire ab; do copy_A; do copy_B; commit ab r0: wait ab; do gemm; release ab }"""
)

CASES = {
    # S1: every unit once, and names that exist
    "missing unit": (
        changed("do copy_B; ", ""),
        "no role runs `copy_B`: add `do copy_B` to `loop %ko`",
    ),
    "unit twice": (
        changed("do gemm;", "do gemm; do gemm;"),
        "`gemm` runs twice: `do gemm` of `math` and of `math`",
    ),
    "unit of two roles": (
        changed("do gemm;", "do copy_A; do gemm;"),
        "`copy_A` runs twice: `do copy_A` of `load` and of `math`",
    ),
    "unit without a role": (
        GOOD + "root { load: do init }",
        "no role runs `store_C`: name it in a scope, `after %ko`",
    ),
    "unknown unit": (
        changed("do gemm", "do mma"),
        "`loop %ko` has no unit `mma`; its units are copy_A, copy_B, gemm",
    ),
    "unit of another scope": (
        GOOD + "root { math: do gemm }",
        "`gemm` stands in `loop %ko`, not in `root`",
    ),
    "unknown pipe": (changed("wait ab", "wait xy"), "`wait xy` in `loop %ko`: the pipes are ab"),
    "unknown role": (changed("math: wait", "maths: wait"), "`loop %ko` names role `maths`; the roles are math, load"),
    "scope twice": (GOOD + LOOP, "`loop %ko` is given twice"),
    # roles and pipes
    "overlap": (changed("4..6", "3..6"), "roles `math` (warps 0..4) and `load` (warps 3..6) overlap"),
    "out of range": (changed("4..6", "4..40"), "role `load` takes warps 4..40; a block has at most 32"),
    "no warps": (changed("4..6", "4..4"), "role `load` has no warps"),
    "gap": (changed("4..6", "5..6"), "the roles take 5 of warps 0..6; every warp of the block needs a role"),
    "role twice": (changed("role load", "role math"), "role `math` is declared twice"),
    "no depth": (changed("depth 2", "depth 0"), "pipe `ab` has depth 0; it needs 1 or more"),
    "registers in a pipe": (
        changed("%Bs", "%Bs, %acc"),
        "pipe `ab`: `acc` is frag memory; pipes are of shared memory, those of one role also of fragments",
    ),
    "buffer in two pipes": (
        ROLES + PIPE + "pipe x (%As) depth 2 from load(cp_async) to math " + LOOP,
        "`As` is in two pipes",
    ),
    "mechanism": (
        changed("cp_async", "tma"),
        "pipe `ab`: no copy completes by mbarrier here; use cp_async or program",
    ),
    "wrong end of a pipe": (
        changed("wait ab;", "wait ab; acquire ab;"),
        "role `math` does `acquire ab`, but the pipe goes from `load` to `math`",
    ),
    "turn": (
        changed("do gemm;", "enter t; do gemm; leave t;") + "turn t over warpgroups of math",
        "`enter t`: turns are not supported",
    ),
    "shift outside of loops": (
        GOOD + "root { math: do init +1 }",
        "`do init +1` in `root`: only the innermost scheduled loops have shifts",
    ),
    # S2: dependences
    "order in a role": (
        ALONE + "loop %ko { all: do gemm; do copy_A; do copy_B }",
        "`gemm` in iteration 0 runs before `copy_A` in iteration 0, with which it shares `As`",
    ),
    "shift against a dependence": (
        ALONE + "loop %ko { all: do copy_A; do copy_B; do gemm +1 }",
        "`gemm` in iteration 0 runs before `copy_A` in iteration 0, with which it shares `As`",
    ),
    "no pipe between roles": (
        UNPIPED,
        "`copy_B` of role `load` and `gemm` of role `math` use `Bs`, and nothing orders them: "
        "put it in a pipe from `load` to `math`",
    ),
    "filled after the commit": (
        changed("do copy_B; commit ab", "commit ab; do copy_B"),
        "`copy_B` fills `Bs` outside of `acquire ab` and `commit ab`",
    ),
    "no await": (
        ALONE + "loop %ko { all: do copy_A; do copy_B; await copy_A; do gemm }",
        "`gemm` uses `Bs` before `copy_B`, which is asynchronous, is complete: add `await copy_B`",
    ),
    "await of another role": (
        changed("do gemm;", "do gemm; await copy_A;"),
        "`await copy_A` of role `math`: role `load` runs it, and only who issued work can await it",
    ),
    "wait before the commit": (
        ahead(1, "wait ab +1"),
        "role `all` waits for `ab` in iteration 0 of `loop %ko`, which it commits later",
    ),
    "another iteration's slot": (
        changed("wait ab; do gemm; release ab", "wait ab +1; do gemm; release ab +1"),
        "`gemm` in iteration 0 reads `As` that `copy_A` wrote in iteration 0, but by `wait ab` it has the slot of "
        "another iteration: wait with the shift of `do gemm`",
    ),
    "await before its work": (
        ALONE + "loop %ko { all: await copy_A; do copy_A; do copy_B; await copy_B; do gemm }",
        "`await copy_A` of role `all` stands before `do copy_A` of that iteration",
    ),
    "read before the wait": (
        changed("wait ab; do gemm;", "do gemm; wait ab;"),
        "`gemm` uses `As` before any `wait ab` of role `math`",
    ),
    "what another scope committed": (
        GOOD + "root { math: do init load: acquire ab; commit ab }",
        "role `math` waits for `ab` in iteration 0 of `loop %ko`, but takes what was committed",
    ),
    "registers of two roles": (
        GOOD + "root { load: do init } after %ko { math: do store_C }",
        "`acc` is in registers of role `load` by `init`, but role `math` uses it by `gemm`: "
        "pass it through shared memory",
    ),
    # S3: slots
    "release before the last reader": (
        changed("do gemm; release ab", "release ab; do gemm"),
        "`copy_A` in iteration 2 fills a slot of pipe `ab` that `gemm` in iteration 0 may still use: "
        "`release ab` of role `math` must stand behind `do gemm`",
    ),
    "too few slots": (
        ahead(2),
        "`copy_A` in iteration 2 fills a slot of pipe `ab` that `gemm` in iteration 0 still uses: depth 2 is too small",
    ),
    # S4: balance
    "acquire without commit": (
        changed("; commit ab", ""),
        "`acquire ab` in `loop %ko` has no `commit ab` behind it",
    ),
    "commit without acquire": (
        changed("acquire ab; ", ""),
        "`commit ab` in `loop %ko` has no `acquire ab` before it",
    ),
    "acquire twice": (
        changed("commit ab", "commit ab; acquire ab; commit ab"),
        "role `load` acquires `ab` twice in `loop %ko`",
    ),
    "acquire and commit of two iterations": (
        changed("acquire ab;", "acquire ab +1;"),
        "`acquire ab +1` and `commit ab` in `loop %ko` are of two iterations",
    ),
    "wait without release": (
        changed("; release ab", ""),
        "role `math` waits for `ab` in `loop %ko` and never releases it: add `release ab` behind its last reader",
    ),
    "release without wait": (
        changed("wait ab; ", ""),
        "role `math` releases `ab` in `loop %ko` and never waits for it: add `wait ab`",
    ),
    # S5: the roles wait for each other
    "nobody reads": (
        changed("wait ab; do gemm; release ab", "do gemm"),
        "the roles wait for each other for ever:\n"
        "  `load` at `acquire ab` in iteration 2 waits for `release ab` of `math`",
    ),
    "circle": (
        CROSSED,
        "the roles wait for each other for ever:\n"
        "  `math` at `wait a` in iteration 0 waits for `commit a` of `load`\n"
        "  `load` at `wait b` in iteration 0 waits for `commit b` of `math`",
    ),
    "circle without credit": (
        NO_CREDIT,
        "the roles wait for each other for ever:\n"
        "  `math` at `wait a` in iteration 1 waits for `commit a` of `load`\n"
        "  `load` at `acquire b` in iteration 1 waits for `release b` of `math`",
    ),
    # S6: resources
    "shared memory": (
        changed("depth 2", "depth 30"),
        "the pipes of `loop %ko` need 246240 bytes of shared memory, sm_80 has 166912 for a block:\n"
        "  As: 4096 bytes x depth 30 of pipe `ab`\n"
        "  Bs: 4096 bytes x depth 30 of pipe `ab`\n"
        "  barriers of `ab`: 16 bytes x depth 30",
    ),
    "registers": (
        changed("0..4", "0..4 nreg 256").replace("4..6", "4..16 nreg 256"),
        "the roles need 131072 registers (256 x 128 of `math` + 256 x 384 of `load`), a block has 65536",
    ),
    "odd registers": (
        changed("0..4", "0..4 nreg 99"),
        "role `math`: nreg 99 is no multiple of 8 between 24 and 256",
    ),
    "barriers": (
        BARRIERS,
        "the roles need 16 barriers and the kernel names 0; a block has 15 besides its own",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_text(name):
    schedule, expected = CASES[name]
    loop = "pipelined(stages=2)" if "await" in name else ""
    threads = 64 if name == "barriers" else 128
    with pytest.raises(CompileError) as error:
        lower(gemm(f"schedule {{ {schedule} }}", loop=loop, threads=threads), "sim sm_80", "apply-schedule")
    assert str(error.value) == "schedule: " + expected


def test_a_filler_under_a_condition():
    text = gemm(f"schedule {{ {GOOD} }}", masked=True).replace("gemm: if %on { ", "gemm: ").replace("%Bs }", "%Bs", 2)
    text = text.replace("-> %Bs\n", "-> %Bs }\n")
    with pytest.raises(CompileError) as error:
        lower(text, "sim sm_80", "apply-schedule")
    assert str(error.value) == (
        "schedule: `gemm` reads `As` of pipe `ab` in every iteration, but `copy_A` fills it under a condition: "
        "put both under it"
    )


def test_a_barrier_of_all_in_a_role():
    text = gemm(f"schedule {{ {GOOD} }}").replace("gemm: gemm", "meet: call bar.cta()\n      gemm: gemm")
    with pytest.raises(CompileError) as error:
        lower(text.replace("do copy_B;", "do copy_B; do meet;"), "sim sm_80", "apply-schedule")
    assert str(error.value) == "schedule: a barrier of all 128 threads stands in role `load`, which has 64"
    lower(text.replace("do gemm;", "do meet; do gemm;"), "sim sm_80", "apply-schedule")


def test_a_name_that_cannot_be_evaluated_again():
    text = gemm(f"schedule {{ {GOOD} }}", masked=True).replace(
        "gemm: if", "set_mask: store %mask[0] = 1\n      gemm: if"
    )
    with pytest.raises(CompileError) as error:
        lower(text.replace("do copy_B;", "do copy_B; do set_mask;"), "sim sm_80", "apply-schedule")
    assert str(error.value) == (
        "schedule: `on` reads `mask`, which `set_mask` writes, so it cannot be evaluated again for each role"
    )


def test_whole_warps():
    with pytest.raises(CompileError) as error:
        lower(gemm(f"schedule {{ {GOOD} }}", threads=100), "sim sm_80", "apply-schedule")
    assert str(error.value) == "schedule: roles are made of whole warps; the kernel has 100 threads"


def test_the_good_one_is_accepted():
    lower(gemm(f"schedule {{ {GOOD} }}"), "sim sm_80", "apply-schedule")
