# SPDX-License-Identifier: MIT
"""Mistakes of the people who write programs of several ranks: a line of an example changed, which the simulator must
notice; and mistakes of those who write device functions: a line of a header in `device/` changed. `./dev mutants` runs
them all, next to the faults that the compiler would make.

    python tests/rank_faults.py [PROGRAM …]     what each of them ends as, under one seed
"""

import contextlib
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "distributed"
SEEDS = 5  # nearly always enough: an order that is not there is missed at every seed
MOST_SEEDS = 20  # for a fault that only a rare turn of events shows
WRONG = "wrong result"

# How a program is run: small, and more launches than it has buffers.
CALLS: dict[str, Callable[[Any, int], float]] = {
    "put_get": lambda m, ranks: m.run(ranks, "sim", 600, 3),
    "remote_st": lambda m, ranks: m.run(ranks, "sim", 100),
    "message_passing": lambda m, ranks: m.run(ranks, "sim", 3),
    "all_to_all": lambda m, ranks: m.run(ranks, "sim", 2, 9, 16),
    "post_attn_all2all_transpose": lambda m, ranks: m.run(ranks, "sim", 1, 10, 8, 3),
    "all_reduce": lambda m, ranks: m.run(ranks, "sim", 300, 4),
    "reduce_scatter": lambda m, ranks: m.run(ranks, "sim", 40, 3),
    "broadcast": lambda m, ranks: m.run(ranks, "sim", 140),
    "ag_gemm": lambda m, ranks: m.run(ranks, "sim", 72, 16, 32),
    "gemm_rs": lambda m, ranks: m.run(ranks, "sim", 72, 72, 32),
    "gemm_ar": lambda m, ranks: m.run(ranks, "sim", 16, 72, 32),
    "sp_attention": lambda m, ranks: m.run(ranks, "sim", 1, 20, 16),
    "cannon": lambda m, ranks: m.run(ranks, "sim", 16, 16, 32),
    "summa": lambda m, ranks: m.run(ranks, "sim", 16, 16, 32),
    "moe": lambda m, ranks: m.run(ranks, "sim", 11, 8),
    "moe_direct": lambda m, ranks: m.run(ranks, "sim", 11, 8),
    # By bulk copies: once round the ring of pieces and on, and a run that is no multiple of 16 bytes.
    "bulk_copies": lambda m, ranks: m.run(ranks, "sim", 45869, 2, 36868, ("block",)),
}
FILES = dict.fromkeys(CALLS, "") | {"bulk_copies": "put_get"}  # where it has another name
BOUND = 5e-3  # a larger error than this is a wrong result


@dataclass(frozen=True)
class Fault:
    """A program in which for each edit (old, new, n) the n-th `old` is `new`."""

    program: str
    kind: str
    ranks: int
    edits: tuple[tuple[str, str, int], ...]
    header: str = ""  # of the device: the edits are there, the program is as it is

    def file(self) -> Path:
        return ROOT / "device" / "tilescale" / self.header if self.header else file(self.program)

    def text(self) -> str:
        text = self.file().read_text()
        for old, new, n in self.edits:
            parts = text.split(old)
            if len(parts) < n + 2:
                raise ValueError(f"{self.file().name} has {len(parts) - 1} places like: {old}")
            text = old.join(parts[: n + 1]) + new + old.join(parts[n + 1 :])
        return text


def file(program: str) -> Path:
    return FOLDER / f"{FILES[program] or program}.py"


def change(program: str, kind: str, old: str, new: str, n: int = 0, ranks: int = 2) -> Fault:
    return Fault(program, kind, ranks, ((old, new, n),))


def drop(program: str, kind: str, statement: str, n: int = 0, ranks: int = 2) -> Fault:
    return change(program, kind, statement, "pass", n, ranks)


def bulk(kind: str, old: str, new: str = "", n: int = 0) -> Fault:
    """In the device function that moves by bulk copies."""
    return Fault("bulk_copies", kind, 2, ((old, new, n),), "comm/bulk.cuh")


def early(program: str, signal: str, before: str, ranks: int = 2) -> Fault:
    """`signal` comes with `before`, not where it stands."""
    return Fault(program, "signal too early", ranks, ((signal, "pass", 0), (before, f"{signal}; {before}", 0)))


WEAK, SCOPE, FENCE = "release or acquire weakened", "wrong scope", "missing fence"
SYNC, WARP, QUIET = "missing barrier of the block", "missing barrier of the warp", "missing quiet"
LOST, WAIT, LAST, COUNT = "missing signal", "missing wait", "missing last wait", "wrong count"
PROXY, BYTES, GROUP, PHASE = "missing async-proxy fence", "wrong byte count", "wrong bulk-group wait", "wrong phase"
REUSE, PEER, PLACE, RANKS = "buffer reused too early", "wrong peer", "wrong place", "missing barrier of ranks"

PG, MP, ST, AA, AT = "put_get", "message_passing", "remote_st", "all_to_all", "post_attn_all2all_transpose"
AR, RS, BC, AG, GR, GA = "all_reduce", "reduce_scatter", "broadcast", "ag_gemm", "gemm_rs", "gemm_ar"
SP, CN, SU, EP, ED = "sp_attention", "cannon", "summa", "moe", "moe_direct"

FAULTS: list[Fault] = [
    change(PG, REUSE, "T.wait(free, at_least=iteration)", "T.wait(free, at_least=iteration - 1)", ranks=3),
    change(PG, REUSE, "T.wait(fetched, at_least=iteration)", "T.wait(fetched, at_least=iteration - 1)", ranks=3),
    drop(PG, LOST, "T.notify(arrived, peer=right)"),
    drop(PG, LOST, "T.notify(free, peer=left)"),
    drop(PG, WAIT, "T.wait(arrived, at_least=iteration + 1)"),
    drop(PG, WAIT, "T.wait(written, at_least=iteration + 1)"),
    change(PG, COUNT, "T.wait(arrived, at_least=iteration + 1)", "T.wait(arrived, at_least=iteration)"),
    change(PG, COUNT, "T.wait(written, at_least=iteration + 1)", "T.wait(written, at_least=iteration)"),
    change(PG, PEER, "T.notify(arrived, peer=right)", "T.notify(arrived, peer=left)", ranks=3),
    change(PG, PEER, "T.notify(written, peer=left)", "T.notify(written, peer=right)", ranks=3),
    early(PG, "T.notify(arrived, peer=right)", "T.wait(free, at_least=iteration)  # the"),
    early(PG, "T.notify(fetched, peer=right)", "T.wait(written, at_least=iteration + 1)", ranks=3),
    # Threads that write, one that signals; one that waits, threads that read.
    drop(MP, SYNC, "T.sync_threads()", 0),
    drop(MP, SYNC, "T.sync_threads()", 1),
    drop(MP, SYNC, "T.sync_threads()", 2),
    drop(MP, SYNC, "T.sync_threads()", 3),
    change(MP, WEAK, 'sem="release"', 'sem="relaxed"', 0),
    change(MP, WEAK, 'sem="release"', 'sem="relaxed"', 1),
    change(MP, WEAK, 'sem="release"', 'sem="relaxed"', 2),
    change(MP, WEAK, 'sem="release"', 'sem="relaxed"', 3),
    change(MP, WEAK, "T.wait_ge(flags[0], i + 1)", 'T.wait_ge(flags[0], i + 1, semantics="relaxed")', 0),
    change(MP, WEAK, "T.wait_ge(flags[0], i + 1)", 'T.wait_ge(flags[0], i + 1, semantics="volatile")', 1),
    change(MP, SCOPE, 'scope="sys", sem="release"', 'scope="gpu", sem="release"', 0),
    change(MP, SCOPE, 'scope="sys", sem="release"', 'scope="cta", sem="release"', 2),
    change(MP, SCOPE, "T.fence_sys()", "T.fence_gpu()", 0),
    change(MP, SCOPE, "T.fence_sys()", "T.fence_gpu()", 1),
    drop(MP, FENCE, "T.fence_sys()", 0),
    drop(MP, FENCE, "T.fence_sys()", 1),
    drop(MP, WAIT, "T.wait_ge(flags[0], i + 1)", 0),
    drop(MP, REUSE, "T.wait_ge(flags[1], i + 1)", 0),
    drop(MP, REUSE, "T.wait(T.signal(flags, 1), at_least=i + 1)"),
    change(ST, WEAK, 'sem="release"', 'sem="relaxed"'),
    change(ST, SCOPE, 'scope="sys"', 'scope="gpu"'),
    change(ST, COUNT, "mine * ranks)", "mine)"),
    change(ST, PEER, 'sem="release", dst_pe=i % ranks', 'sem="release", dst_pe=(i + 1) % ranks'),
    drop(AA, QUIET, "T.quiet()"),
    drop(AA, SYNC, "T.sync_threads()", 0),
    drop(AA, SYNC, "T.sync_threads()", 1),
    change(AA, PLACE, "T.address_of(arrived[me])", "T.address_of(arrived[peer])", ranks=3),
    change(AA, COUNT, "T.CmpType.GE, iteration + 1", "T.CmpType.GE, iteration"),
    change(AA, PEER, "1, T.Amo.SIGNAL_ADD, peer", "1, T.Amo.SIGNAL_ADD, me"),
    drop(AT, LAST, "T.wait(T.signal(arrived), at_least=(iteration + 1) * blocks * heads * batch)"),
    change(AT, COUNT, "blocks * heads * batch)", "blocks * heads * batch - 1)"),
    change(AT, PEER, "T.notify(T.signal(ready, rank), peer=p)", "T.notify(T.signal(ready, rank), peer=rank)"),
    change(AR, REUSE, "turn = iteration % 2", "turn = iteration * 0"),
    change(
        AR,
        COUNT,
        "T.wait(T.signal(arrived, (r, b)), at_least=iteration + 1)",
        "T.wait(T.signal(arrived, (r, b)), iteration)",
    ),
    change(AR, PEER, "peer=(rank + step) % ranks, signal", "peer=(rank + step // 2) % ranks, signal", ranks=3),
    drop(AR, LAST, "T.wait(T.signal(arrived, (r, b)), at_least=iteration + 1)", 1),
    drop(AR, WAIT, "T.wait(T.signal(ready, (r, b)), at_least=iteration + 1)"),
    change(
        AR,
        COUNT,
        "T.wait(T.signal(ready, (r, b)), at_least=iteration + 1)",
        "T.wait(T.signal(ready, (r, b)), iteration)",
    ),
    drop(RS, REUSE, "T.wait(T.signal(ready, (peer, b)), at_least=iteration + 1)"),
    change(
        RS,
        REUSE,
        "T.wait(T.signal(ready, (s, b)), at_least=iteration)",
        "T.wait(T.signal(ready, (s, b)), iteration - 1)",
    ),
    early(RS, "T.notify(T.signal(ready, (s, b)), peer=left)", "T.copy(inbox[s, part], total)"),
    change(
        RS,
        COUNT,
        "T.wait(T.signal(arrived, (s, b)), at_least=iteration + 1)",
        "T.wait(T.signal(arrived, (s, b)), iteration)",
    ),
    change(RS, PEER, "inbox[s, part], peer=right", "inbox[s, part], peer=left", ranks=3),
    drop(BC, REUSE, "T.wait(T.signal(ready, b), at_least=iteration + 1)", ranks=3),
    drop(BC, LOST, "T.notify(T.signal(arrived, b), peer=rank)"),
    change(
        BC,
        COUNT,
        "T.wait(T.signal(arrived, b), at_least=iteration + 1)",
        "T.wait(T.signal(arrived, b), at_least=iteration)",
    ),
    drop(AG, WAIT, "T.wait(T.signal(arrived, (origin, m)), at_least=iteration + 1)"),
    change(AG, PLACE, "T.wait(T.signal(arrived, (origin, m))", "T.wait(T.signal(arrived, (origin, 0))"),
    drop(AG, REUSE, "T.wait(T.signal(ready, peer), at_least=iteration + 1)"),
    drop(AG, WAIT, "T.wait(T.signal(ready, origin), at_least=iteration + 1)"),
    drop(AG, LAST, "T.wait(T.signal(done), at_least=(iteration + 1) * ranks * rows * columns)"),
    change(
        AG,
        COUNT,
        "at_least=(iteration + 1) * ranks * rows * columns",
        "at_least=(iteration + 1) * ranks * rows * columns - 1",
    ),
    early(AG, "T.notify(T.signal(done), peer=origin)", "T.wait(T.signal(ready, origin), at_least=iteration + 1)"),
    drop(GR, WAIT, "T.wait(T.signal(arrived, (origin, t)), at_least=iteration + 1)"),
    change(GR, PLACE, "T.wait(T.signal(arrived, (origin, t))", "T.wait(T.signal(arrived, (origin, 0))"),
    change(
        GR,
        COUNT,
        "T.wait(T.signal(arrived, (origin, t)), at_least=iteration + 1)",
        "T.wait(T.signal(arrived, (origin, t)), at_least=iteration)",
    ),
    change(GR, REUSE, "iteration % 2", "iteration * 0"),
    change(GR, PEER, "peer=owner, signal=came", "peer=(owner + 1) % ranks, signal=came", ranks=3),
    change(GR, PLACE, "T.put(C_shared, inbox[turn, rank, t", "T.put(C_shared, inbox[turn, 0, t", ranks=3),
    drop(GA, LAST, "T.wait(T.signal(done), at_least=(iteration + 1) * tiles)"),
    change(GA, COUNT, "at_least=(iteration + 1) * tiles", "at_least=(iteration + 1) * tiles - 1"),
    drop(GA, WAIT, "T.wait(T.signal(arrived, (origin, t)), at_least=iteration + 1)"),
    change(
        GA, PEER, "T.put(C_tile, C[rank, down, across], peer=peer", "T.put(C_tile, C[rank, down, across], peer=owner"
    ),
    drop(SP, WAIT, "T.wait(piece, at_least=iteration + 1)", ranks=3),
    drop(SP, WAIT, "T.wait(T.signal(arrived, (origin, h)), at_least=iteration + 1)"),
    drop(SP, REUSE, "T.wait(T.signal(ready, (right, h)), at_least=iteration + 1)"),
    drop(SP, REUSE, "T.wait(T.signal(ready, (peer, h)), at_least=iteration + 1)"),
    Fault(
        SP, "signal too early", 2, ((", right, piece)", ", right)", 0), ("peer=right)", "peer=right, signal=piece)", 0))
    ),
    drop(CN, WAIT, "T.wait(T.signal(arrived, (s, 1)), at_least=iteration + 1)", 0, 4),
    drop(CN, WAIT, "T.wait(T.signal(arrived, (s, 1)), at_least=iteration + 1)", 1, 4),
    drop(CN, REUSE, "T.wait(T.signal(ready, p), at_least=iteration + 1)", 0, 4),
    change(CN, PEER, "i * side + (j + side - i) % side", "i * side + j", 0, 4),
    drop(SU, REUSE, "T.wait(T.signal(used, g % 2), at_least=g // 2 * tiles)"),
    drop(SU, WAIT, "T.wait(T.signal(grants, (0, c)), at_least=iteration * mine_A + t % mine_A + 1)"),
    change(SU, COUNT, "at_least=(g // 2 + 1) * 2", "at_least=(g // 2 + 1) * 2 - 1"),
    early(
        SU, "T.notify(T.signal(used, g % 2), peer=rank)", "T.wait(T.signal(arrived, g % 2), at_least=(g // 2 + 1) * 2)"
    ),
    change(EP, WEAK, '"sys", "release", dst_pe=peer', '"sys", "relaxed", dst_pe=peer', 0),
    change(
        EP,
        WEAK,
        'T.st(T.address_of(queues[3, c, peer]), sent, "sys", "release")',
        'T.st(T.address_of(queues[3, c, peer]), sent, "sys", "relaxed")',
    ),
    drop(EP, WARP, "T.sync_warp()  # a shuffle orders no memory"),
    drop(EP, WARP, "T.sync_warp()", 0),
    drop(EP, WARP, "T.sync_warp()", 1),
    drop(EP, REUSE, "T.wait_ge(queues[3, c, rank], sent + chunk - slots, peer)"),
    change(EP, COUNT, "sent + chunk - slots, peer", "sent - slots, peer"),
    change(EP, COUNT, "T.wait_gt(queues[2, c, tx]", "T.wait_ge(queues[2, c, tx]"),
    drop(EP, SYNC, "T.sync_threads()", 2),
    drop(EP, SYNC, "T.sync_threads()", 3),
    change(EP, FENCE, "T.barrier_blocks(barrier)", "T.sync_blocks(barrier)", 1),
    drop(EP, RANKS, "T.barrier_blocks(barrier)", 5),
    change(EP, PLACE, "x_slots[c, rank, slot, 0]), hidden, peer", "x_slots[c, peer, slot, 0]), hidden, peer"),
    drop(ED, WAIT, "T.wait(T.signal(ready, r), at_least=iteration + 1)", 0),
    drop(ED, WAIT, "T.wait(T.signal(ready, r), at_least=iteration + 1)", 1),
    drop(ED, LAST, "T.wait(T.signal(arrived, r), at_least=(iteration + 1) * blocks)"),
    drop(ED, LAST, "T.wait(T.signal(done, r), at_least=(iteration + 1) * blocks)", 0),
    drop(ED, LAST, "T.wait(T.signal(done, r), at_least=(iteration + 1) * blocks)", 1),
    change(
        ED,
        COUNT,
        "T.wait(T.signal(arrived, r), at_least=(iteration + 1) * blocks)",
        "T.wait(T.signal(arrived, r), at_least=(iteration + 1) * blocks - 1)",
    ),
    change(ED, PLACE, "base + number[t] - 1", "base + number[t]"),
    drop(ED, RANKS, "T.barrier_blocks(barrier)", 1),
    change(ED, PEER, "src_pe=origin[i * rows + k] // tokens", "src_pe=rank"),
    bulk(PROXY, "ptx::fence_proxy_async();"),
    bulk(WAIT, "ptx::mbar_wait(full + s, phase);"),
    bulk(PHASE, "phase ^= 1;"),
    bulk(PHASE, "ptx::mbar_wait(full + s, phase)", "ptx::mbar_wait(full + s, phase ^ 1)"),
    bulk(BYTES, "expect_tx(full + fill, n)", "expect_tx(full + fill, n - 16)"),
    bulk(BYTES, "expect_tx(full + fill, n)", "expect_tx(full + fill, n + 16)"),
    bulk(BYTES, "expect_tx(full + fill, n)", "expect_tx(full + fill, Piece)"),
    bulk(BYTES, "ptx::mbar_arrive_expect_tx(full + fill, n)", "ptx::mbar_arrive(full + fill)"),
    bulk(BYTES, "from + loaded, n, full + fill", "from + loaded, n - 16, full + fill"),
    bulk(BYTES, "bytes - at < Piece ? (u32)(bytes - at) : (u32)Piece);", "(u32)Piece);"),
    bulk(LOST, "ptx::mbar_arrive_expect_tx(full + fill, n)", "ptx::mbar_expect_tx(full + fill, n)"),
    bulk(PLACE, "from + loaded, n, full + fill", "from + loaded, n, full"),
    bulk(COUNT, "ptx::mbar_init(full + s, 1)", "ptx::mbar_init(full + s, 2)"),
    bulk(GROUP, "ptx::bulk_commit();"),
    bulk(GROUP, "ptx::bulk_wait_read<kLag>();"),
    bulk(GROUP, "ptx::bulk_wait_read<kLag>();", "ptx::bulk_wait_read<kLag + 1>();"),
    bulk(GROUP, "ptx::bulk_wait<0>();"),
    bulk(GROUP, "ptx::bulk_wait<0>();", "ptx::bulk_wait<1>();"),
    bulk(GROUP, "ptx::bulk_wait<0>();", "ptx::bulk_wait_read<0>();"),
    bulk(REUSE, "loaded < (i64)(Stages - kLag) * Piece", "loaded < (i64)Stages * Piece"),
    bulk("missing initialisation", "for (int s = 0; s < Stages; ++s) ptx::mbar_init(full + s, 1);"),
    bulk("missing initialisation", "s < Stages; ++s", "s + 1 < Stages; ++s"),
]


class Memo:
    """tilescale.compile that gives the kernel it gave for the same text and options."""

    def __init__(self, compile: Callable[..., Any], kernels: dict[Any, Any]) -> None:
        self.compile, self.kernels = compile, kernels

    def __call__(self, func: Any, **options: Any) -> Any:
        from tilescale._ffi import function

        key = str(function("ir.print")(func.func, True)), str(options)
        if key not in self.kernels:
            self.kernels[key] = self.compile(func, **options)
        return self.kernels[key]


@contextlib.contextmanager
def memoised(kernels: dict[Any, Any] | None = None):
    """A dictionary, if one is given, keeps the kernels for the next time."""
    import tilescale

    original = tilescale.compile
    tilescale.compile = Memo(original, {} if kernels is None else kernels)
    try:
        yield
    finally:
        tilescale.compile = original


def run(program: str, text: str, ranks: int, seeds: list[int]) -> list[str]:
    """What a run ends as under each seed; an empty word where nothing was noticed."""
    import types

    import tilescale.language as T
    from tilescale import CompileError, sim

    if str(FOLDER) not in sys.path:
        sys.path.insert(0, str(FOLDER))
    module = types.ModuleType(program)
    T.exec_source(text, vars(module), f"{program}-{abs(hash(text))}.py")
    said = []
    with memoised():
        for seed in seeds:
            sim.set_seed(seed)
            try:
                said.append("" if CALLS[program](module, ranks) <= BOUND else WRONG)
            except (sim.SimulationError, CompileError) as error:
                said.append(type(error).__name__)
    sim.set_seed(None)
    return said


def of(program: str) -> list[Fault]:
    return [fault for fault in FAULTS if fault.program == program]


@contextlib.contextmanager
def header(fault: Fault):
    """Kernels are compiled with the header that the fault changes."""
    from tilescale._ffi import function

    named = function("sim.set_include_folders")
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / "tilescale" / fault.header
        changed.parent.mkdir(parents=True)
        changed.write_text(fault.text())
        named([folder, str(ROOT / "sim" / "include"), str(ROOT / "device")])
        try:
            yield
        finally:
            named([])


def judge(fault: Fault, seeds: list[int]) -> list[str]:
    if not fault.header:
        return run(fault.program, fault.text(), fault.ranks, seeds)
    with header(fault):
        return run(fault.program, file(fault.program).read_text(), fault.ranks, seeds)


def main() -> int:
    survivors = 0
    for fault in FAULTS:
        if len(sys.argv) > 1 and fault.program not in sys.argv[1:]:
            continue
        said: list[str] = []
        while not any(said) and len(said) < MOST_SEEDS:
            said += judge(fault, [len(said)])
        survivors += not any(said)
        print(f"{said} | {fault.program} ×{fault.ranks} | {fault.kind} | {fault.edits}", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
