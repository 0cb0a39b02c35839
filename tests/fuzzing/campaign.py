# SPDX-License-Identifier: MIT
"""Many programs, checked in processes of their own: a crash or a hang is a failure of the program that ran."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from . import check, generate
from .program import Program

ROOT = Path(__file__).resolve().parents[2]
REPLAYS = ROOT / "build" / "fuzz"
LIMIT_SECONDS = 120  # of one program
FIXED = 2000  # seeds of the tests
MINIMISE_SECONDS = 30


@dataclass
class Job:
    """What to do with a seed. `legal`: None leaves it to the seed."""

    seed: int
    text: bool = False  # compile it by NVRTC
    run: bool = False  # run it on the simulator
    legal: bool | None = None


@dataclass
class Result:
    seed: int
    kind: str = ""  # of the failure
    text: str = ""
    illegal: str = ""
    digest: str = ""  # of the artifacts
    replay: str = ""


def fixed_job(seed: int) -> Job:
    """One in ten of the fixed seeds is compiled, one in twenty is run; those are legal programs."""
    text, run = seed % 10 == 3, seed % 20 == 7
    return Job(seed, text, run, True if text or run else None)


def check_program(p: Program, job: Job) -> str:
    """The digest of its artifacts; raises Failure."""
    if p.illegal:
        check.check_illegal(p)
        return ""
    try:
        func, fast, general = check.check_lowers(p)
    except check.Refused:
        return ""
    if job.text:
        check.check_text(p, fast)
    if job.run:
        check.check_results(p, func)
    return hashlib.sha256(fast + general).hexdigest()


# A worker


def _signature(failure: check.Failure) -> str:
    return "".join(c for c in failure.text.split("\n")[0] if c.isalpha())[:60]


def _fails_alike(p: Program, job: Job, like: check.Failure) -> bool:
    try:
        check_program(p, job)
    except check.Failure as failure:
        return failure.kind == like.kind and _signature(failure) == _signature(like)
    except Exception:
        return False
    return False


def minimise(p: Program, job: Job, failure: check.Failure) -> Program:
    """Without the statements that the failure does not need."""
    at, deadline = len(p.lines()) - 1, time.monotonic() + MINIMISE_SECONDS
    while at > 0 and time.monotonic() < deadline:
        lines = p.lines()
        line = lines[at]
        depth = len(line) - len(line.lstrip())
        end = at + 1
        while end < len(lines) and lines[end].strip() and len(lines[end]) - len(lines[end].lstrip()) > depth:
            end += 1
        if depth >= 8 and line.strip():
            smaller = replace(p, text="\n".join(lines[:at] + lines[end:]))
            if _fails_alike(smaller, job, failure):
                p = smaller
        at -= 1
    return p


def write_replay(p: Program, job: Job, failure: check.Failure) -> str:
    REPLAYS.mkdir(parents=True, exist_ok=True)
    path = REPLAYS / f"{failure.kind.replace(' ', '_')}_{p.seed}.py"
    comment = "\n".join("# " + line for line in failure.text.split("\n"))
    arguments = ",\n        ".join(repr(a) for a in p.arguments)
    path.write_text(
        f"# {failure.kind}, seed {p.seed}. From the repository: PYTHONPATH=. ./dev python {path.relative_to(ROOT)}\n"
        f"{comment}\n"
        "from tests.fuzzing.campaign import Job, check_program\n"
        "from tests.fuzzing.program import Argument, Program\n\n"
        f'TEXT = """\\\n{p.text}"""\n\n'
        f"program = Program(\n    {p.seed},\n    TEXT,\n    {p.name!r},\n    [\n        {arguments},\n    ],\n"
        f"    {p.arch!r},\n    {p.illegal!r},\n    {p.error_line},\n)\n"
        f"check_program(program, {job!r})\n"
    )
    return str(path)


def work() -> None:
    """Takes jobs, one line of JSON each, from the standard input; announces each, then prints its result."""
    for line in sys.stdin:
        job = Job(**json.loads(line))
        print(json.dumps({"begin": job.seed}), flush=True)
        signal.alarm(LIMIT_SECONDS)
        p = generate.generate(job.seed, job.legal)
        result = Result(job.seed, illegal=p.illegal)
        try:
            result.digest = check_program(p, job)
        except check.Failure as failure:
            result.kind, result.text = failure.kind, failure.text
            small = p if p.illegal else minimise(p, job, failure)
            result.replay = write_replay(small, job, failure)
        signal.alarm(0)
        print(json.dumps(asdict(result)), flush=True)


# The processes


def _environment(hash_seed: str) -> dict[str, str]:
    environment = dict(os.environ, PYTHONHASHSEED=hash_seed, TILESCALE_VERIFY="1")
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "python"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return environment


def run(jobs: Iterable[Job], hash_seed: str = "0") -> Iterator[Result]:
    """Results of one process, started again after a crash."""
    left = list(jobs)
    while left:
        text = "".join(json.dumps(asdict(job)) + "\n" for job in left)
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "fuzz.py"), "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(hash_seed),
            cwd=ROOT,
        )
        out, errors = process.communicate(text)
        records = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        results = [Result(**r) for r in records if "begin" not in r]
        yield from results
        done = len(results)
        if done < len(left):
            tail = errors[-2000:]
            crash = check.Failure("crash", f"the process ended with {process.returncode}\n{tail}")
            p = generate.generate(left[done].seed, left[done].legal)
            yield Result(p.seed, "crash", crash.text, p.illegal, replay=write_replay(p, left[done], crash))
            done += 1
        left = left[done:]


def differing(jobs: list[Job], results: list[Result], hash_seed: str = "1") -> list[Result]:
    """Failures of programs that another process compiles to other bytes; it takes them in another order."""
    digests = {r.seed: r.digest for r in results if r.digest}
    again = [replace(job, text=False, run=False, legal=True) for job in reversed(jobs) if job.seed in digests]
    failures = []
    for r in run(again, hash_seed):
        if not r.kind and r.digest != digests[r.seed]:
            job = next(j for j in again if j.seed == r.seed)
            failure = check.Failure("differs", "two processes compile the program to different bytes")
            p = generate.generate(r.seed, True)
            failures.append(Result(r.seed, "differs", failure.text, replay=write_replay(p, job, failure)))
    return failures


def report(failures: Iterable[Result]) -> str:
    return "\n\n".join(f"seed {r.seed}: {r.kind} ({r.replay})\n{r.text}" for r in failures)


# The table of docs/simulator.md

BEGIN, END = "<!-- fuzz: begin, written by ./dev fuzz -->", "<!-- fuzz: end -->"


def fixed_table() -> list[str]:
    """What the tests do with the fixed seeds; all of it must succeed, so there is no column of failures."""
    counts: collections.Counter[str] = collections.Counter()
    mistakes = set()
    for seed in range(FIXED):
        job = fixed_job(seed)
        p = generate.generate(seed, job.legal)
        counts["illegal" if p.illegal else "legal"] += 1
        counts["text"] += job.text
        counts["run"] += job.run
        mistakes.add(p.illegal)
    return [
        "| fixed seeds | programs |",
        "|---|---|",
        f"| legal: lowered, verified after every pass | {counts['legal']} |",
        f"| illegal, {len(mistakes) - 1} kinds of mistakes: refused at their line | {counts['illegal']} |",
        f"| text compiled by NVRTC | {counts['text']} |",
        f"| run on the simulator, equal to the oracle | {counts['run']} |",
        f"| compiled to the same bytes by a second process | {counts['text']} |",
    ]


def table_of(document: str) -> list[str]:
    """The lines between the markers."""
    begin, end = document.index(BEGIN), document.index(END)
    return document[begin + len(BEGIN) : end].strip().split("\n")
