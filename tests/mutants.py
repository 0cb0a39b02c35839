#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Seeded faults: does the simulator notice when the compiler, or a program, is wrong?

`./dev mutants` takes every example kernel, asks the compiler for the places of its machine stage where one change makes
it wrong (compiler/passes/inject_fault.cc), makes each change in turn, and runs the result under the seeds. A fault is
caught by the check of registers, by a report of the simulator, or by a result that differs from the clean kernel's. One
that is not caught at any seed must be listed in tests/mutants_harmless.toml with the reason why it changes nothing. The
clean kernels run under the same seeds and must give no report.

Programs of several ranks have faults "by hand", too: the mistakes of rank_faults.py.

The tables in docs/simulator.md between the markers are rewritten; --check fails if they are stale instead.

    ./dev mutants                      all of it
    ./dev mutants gemm softmax         these programs, without the tables
    ./dev mutants --seeds 4            fewer seeds
    ./dev mutants --stride 5           every fifth fault
    ./dev mutants --rules [NAME …]     the compiler without one of its rules, each in turn (tests/rules.py)
"""

import argparse
import contextlib
import json
import linecache
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

import numpy as np
import programs
import rank_faults
import rules

ROOT = Path(__file__).resolve().parents[1]
HARMLESS = ROOT / "tests" / "mutants_harmless.toml"
DOCUMENT = ROOT / "docs" / "simulator.md"
BEGIN, END = "<!-- mutants: begin -->\n", "<!-- mutants: end -->\n"
SEEDS = 20
WRONG = "wrong result"
ERROR = 1e-4  # more than this against float64 is a wrong result of a program of several ranks
SHARDS = 2  # pieces of a program that run side by side
BY_HAND = {f"{program} by hand": program for program in rank_faults.CALLS}
NAMES = [*programs.PROGRAMS, *BY_HAND]


@dataclass
class Outcome:
    """One fault of one program: what each seed said; an empty word where nothing was noticed."""

    program: str
    launch: int
    fault: int
    kind: str
    statement: str
    source: str  # the user's line
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def caught(self) -> int:
        return sum(1 for word in self.said if word)


# One program in one process


def numbers(x: Any) -> np.ndarray:
    return x.double().cpu().numpy() if hasattr(x, "double") else np.asarray(x, np.float64)


def faults(launch: programs.Launch) -> list[tuple[str, str, str]]:
    """Kind, statement and the user's line of each fault that the compiler can make."""
    from tilescale._ffi import function

    listed = function("driver.faults")(launch.lowered())
    return [(str(kind), str(text), linecache.getline(str(f), int(n)).strip()) for kind, text, f, n in listed]


class Subject:
    """One launch of a program, clean or with a fault."""

    def __init__(self, launch: programs.Launch, seeds: int) -> None:
        self.launch = launch
        self.lowered = launch.lowered()
        self.faults = faults(launch)
        self.seeds = range(seeds)
        self.kernels: dict[Any, Any] = {}
        run = self.entry(-1)
        self.clean = [self.outputs(run, seed) for seed in self.seeds]
        # Atomics of floating point add in the order of the schedule.
        pairs = [pair for outputs in self.clean for pair in zip(self.clean[0], outputs, strict=True)]
        self.exact = all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)

    def entry(self, fault: int) -> Any:
        """The compiled function with a fault, or with none for -1."""
        from tilescale._ffi import function

        def other_variant(index: int) -> Any:
            raise AssertionError(f"the call breaks a launch fact: variant {index} would run without the fault")

        artifact = function("driver.assemble_fault")(self.lowered, self.launch.kernel.target.text, fault)
        return function("runtime.executable")(artifact, other_variant).entry()

    def outputs(self, run: Any, seed: int) -> list[np.ndarray]:
        os.environ["TILESCALE_SIM_SEED"] = str(seed)
        if self.launch.program is not None:
            with rank_faults.memoised(self.kernels):
                error = programs.replay(self.launch.program, self.launch.kernel, run)
            return [np.array(error <= ERROR, np.float64)]
        args = programs.copied(self.launch.args)
        result = run(*args)
        tensors = [x for x in args if hasattr(x, "__dlpack__")]
        results = list(result) if isinstance(result, (list, tuple)) else [result]
        tensors += [np.from_dlpack(x) for x in results if hasattr(x, "__dlpack__")]
        return [numbers(x) for x in tensors]

    def same(self, got: list[np.ndarray]) -> bool:
        for clean, x in zip(self.clean[0], got, strict=True):
            if self.exact:
                if not np.array_equal(clean, x, equal_nan=True):
                    return False
            elif not np.allclose(clean, x, rtol=0, atol=1e-3 * np.nanmax(np.abs(clean)), equal_nan=True):
                return False
        return True

    def judge(self, fault: int) -> list[str]:
        """What each seed says of a fault."""
        from tilescale import CompileError
        from tilescale.sim import SimulationError

        try:
            run = self.entry(fault)
        except CompileError:  # registers that the fault leaves unset
            return [CompileError.__name__] * len(self.seeds)
        said = []
        for seed in self.seeds:
            try:
                said.append("" if self.same(self.outputs(run, seed)) else WRONG)
            except SimulationError as error:
                said.append(type(error).__name__)
        return said


class ByHand:
    """The mistakes in a program, in the place of a Subject."""

    def __init__(self, program: str, seeds: int) -> None:
        self.made = rank_faults.of(program)
        self.faults = [(fault.kind, fault.edits[0][1], fault.edits[0][0]) for fault in self.made]
        self.seeds = list(range(min(seeds, rank_faults.SEEDS)))
        self.more = list(range(len(self.seeds), min(seeds, rank_faults.MOST_SEEDS)))
        self.clean: set[int] = set()  # numbers of ranks

    def judge(self, fault: int) -> list[str]:
        program, ranks = self.made[fault].program, self.made[fault].ranks
        if ranks not in self.clean:
            text = rank_faults.file(program).read_text()
            said = rank_faults.run(program, text, ranks, self.seeds)
            assert not any(said), f"{program} without a fault, {ranks} ranks: {said}"
            self.clean.add(ranks)
        said = rank_faults.judge(self.made[fault], self.seeds)
        return said if any(said) else said + rank_faults.judge(self.made[fault], self.more)


def subjects(program: str, seeds: int) -> Iterator[Subject | ByHand]:
    if program in BY_HAND:
        yield ByHand(BY_HAND[program], seeds)
    else:
        for launch in programs.launches(program):
            yield Subject(launch, seeds)


def fix_inputs() -> None:
    """The same inputs in every process: the tables are compared as text."""
    generator = np.random.default_rng
    np.random.default_rng = lambda *seed: generator(*(seed or (0,)))
    with contextlib.suppress(ImportError):
        import torch

        torch.manual_seed(0)


def work(program: str, shard: int, first: int, seeds: int, stride: int) -> None:
    """Prints one line of JSON before and after each fault of a shard, so that the parent knows what a process that
    dies was at."""
    fix_inputs()
    number = 0
    for index, subject in enumerate(subjects(program, seeds)):
        for fault, (kind, statement, source) in enumerate(subject.faults):
            number += 1
            if number % stride or number // stride % SHARDS != shard or number <= first:
                continue
            begin = time.monotonic()
            outcome = Outcome(program, index, fault, kind, statement, source)
            print(json.dumps([number, vars(outcome)]), flush=True)
            outcome.said = subject.judge(fault)
            outcome.seconds = round(time.monotonic() - begin, 2)
            print(json.dumps([number, vars(outcome)]), flush=True)


# All of them


def environment() -> dict[str, str]:
    return {
        **os.environ,
        "TILESCALE_TARGET": "sim",
        "TILESCALE_CACHE": "1",  # a program of several ranks is run again as a whole, with the same other kernels
        "TILESCALE_CACHE_DIR": str(ROOT / "build" / "mutants-cache"),
        "TILESCALE_VERIFY": "0",
        "TILESCALE_SIM_HANG_MS": "300",
        "TILESCALE_SIM_STRICT_STORES": "1",
        "PYTHONPATH": f"{ROOT / 'python'}:{ROOT / 'tests'}",
    }


def outcomes_of(program: str, shard: int, seeds: int, stride: int) -> list[Outcome]:
    """Runs a shard, in a fresh process again after a fault that kills one."""
    found: list[Outcome] = []
    first = 0
    while True:
        command = [sys.executable, __file__, "--worker", program, str(shard), str(first)]
        command += ["--seeds", str(seeds), "--stride", str(stride)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=ROOT)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        rest = []
        for number, record in lines:
            if record["said"]:
                found.append(Outcome(**record))
            rest = [] if record["said"] else [(number, record)]
        if done.returncode == 0:
            return found
        if done.returncode > 0 or not rest:  # a Python error, not a signal
            raise SystemExit(f"{' '.join(command)}\n{done.stdout[-500:]}{done.stderr}")
        first, record = rest[0]
        found.append(Outcome(**{**record, "said": [f"killed by signal {-done.returncode}"] * seeds}))


def harmless() -> list[dict[str, Any]]:
    return tomllib.loads(HARMLESS.read_text())["harmless"] if HARMLESS.exists() else []


def run(names: list[str], seeds: int, stride: int) -> list[Outcome]:
    jobs = [(name, shard) for name in names for shard in range(SHARDS)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = [o for part in pool.map(lambda job: outcomes_of(*job, seeds, stride), jobs) for o in part]
    return sorted(found, key=lambda o: (names.index(o.program), o.launch, o.fault))


def excuses(entry: dict[str, Any], o: Outcome) -> bool:
    """Does an entry of the list speak of this fault?"""
    return (
        o.program in entry["programs"]
        and o.kind in entry["faults"]
        and entry["source"] in o.source
        and entry["statement"] in o.statement
    )


def complaints(found: list[Outcome], names: list[str], stride: int) -> list[str]:
    errors = []
    for o in found:
        if any(word.startswith("killed") for word in o.said):
            errors.append(f"{place(o)}: the simulator was {o.said[0]}")
    survivors = [o for o in found if not o.caught]
    for o in survivors:
        if not any(excuses(entry, o) for entry in harmless()):
            errors.append(f"{place(o)}: not noticed at any seed")
    for entry in harmless() if stride == 1 else []:
        for name in set(entry["programs"]) & set(names):
            if not any(o.program == name and excuses(entry, o) for o in survivors):
                errors.append(f"tests/mutants_harmless.toml: nothing of {name} is left over for: {entry['reason']}")
    return errors


def place(o: Outcome) -> str:
    return f"{o.program} fault {o.fault}, {o.kind}: {o.source} | {o.statement}"


# Tables


def listed() -> dict[str, int]:
    """How many faults each program and each kind has: the first two columns of the tables."""
    found: dict[str, int] = {"all": 0}
    for program in programs.PROGRAMS:
        for launch in programs.launches(program):
            for kind, _, _ in faults(launch):
                for row in (program, kind, "all"):
                    found[row] = found.get(row, 0) + 1
    for program, module in BY_HAND.items():
        for fault in rank_faults.of(module):
            for row in (program, fault.kind, "all"):
                found[row] = found.get(row, 0) + 1
    return found


def documented(text: str) -> dict[str, int]:
    """The same, read from the tables of a document."""
    lines = text.partition(BEGIN)[2].partition(END)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: int(row[1]) for row in cells if row[1].isdigit()}


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def tables(found: list[Outcome], seeds: int) -> str:
    names = list(dict.fromkeys(o.program for o in found))
    rows = []
    for title, group in [*((n, [o for o in found if o.program == n]) for n in names), ("all", found)]:
        rows.append([title, *counts(group)])
    head = ["program", "faults", "caught at every seed", "at some seed", "harmless"]
    text = table(head, rows) + "\n"
    words = sorted({word for o in found for word in o.said if word})
    rows = []
    for kind in sorted({o.kind for o in found}):
        group = [o for o in found if o.kind == kind]
        seen = [sum(1 for o in group if word in o.said) for word in words]
        rows.append([kind, *counts(group), *seen])
    return text + table([f"fault, {seeds} seeds each, by hand {rank_faults.SEEDS} or more", *head[1:], *words], rows)


def counts(group: list[Outcome]) -> list[int]:
    every = sum(1 for o in group if o.caught == len(o.said))
    none = sum(1 for o in group if not o.caught)
    return [len(group), every, len(group) - every - none, none]


def replaced(document: str, text: str) -> str:
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{text}{END}{tail}"


def main() -> int:
    if sys.argv[1:2] == ["--rules"]:
        return rules.main(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", choices=[[], *NAMES])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--check", action="store_true", help="fail if the tables are stale, do not write them")
    parser.add_argument("--verbose", action="store_true", help="print every fault")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="print how many faults there are, as JSON, and make none")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        program, shard, first = options.worker
        work(program, int(shard), int(first), options.seeds, options.stride)
        return 0
    if options.list:
        os.environ.update(environment())
        print(json.dumps(listed()))
        return 0
    begin = time.monotonic()
    names = options.programs or NAMES
    found = run(names, options.seeds, options.stride)
    text = tables(found, options.seeds)
    if options.verbose:
        for o in found:
            said = {word or "-": o.said.count(word) for word in o.said}
            print(f"{place(o)[:220]} | {said} {o.seconds} s")
    print(text)
    errors = complaints(found, names, options.stride)
    if not options.programs and options.seeds == SEEDS and options.stride == 1:
        new = replaced(DOCUMENT.read_text(), text)
        if options.check and new != DOCUMENT.read_text():
            errors.append("the tables in docs/simulator.md are stale; ./dev mutants rewrites them")
        elif not errors:
            DOCUMENT.write_text(new)
    print("\n".join(errors))
    print(f"mutants: {len(found)} faults, {len(errors)} problems, {time.monotonic() - begin:.0f} s")
    return 1 if errors else 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
