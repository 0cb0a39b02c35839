#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Textual golden tests: whole output against whole output.

A file holds one or more cases split by '// -----'. A case is comment lines, one '// RUN: command'
line, the input, then '// EXPECT' and the whole expected output. '// EXPECT-ERROR' expects a
non-zero exit and compares stderr. '// SAME-AS: name' expects what the case '// CASE: name' prints.
The command reads the input on stdin, and 'tilescale-opt' means the one of the build folder.

pytest collects these files (tests/conftest.py); `./dev test golden --update-golden` rewrites them.
"""

import difflib
import importlib.util
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

SPLIT = re.compile(r"^// -----\n", re.M)
MARK = re.compile(r"^// (EXPECT-ERROR|EXPECT|SAME-AS: *(\S+))\n?", re.M)
NAME = re.compile(r"^// CASE: *(\S+)", re.M)
RUN = re.compile(r"^// RUN: (.*)$", re.M)
COMMENT = re.compile(r"^//.*\n", re.M)
TIMEOUT_S = 60


def environment() -> dict[str, str]:
    """The process's, and where the solver is: tilescale-opt asks no Python for it."""
    spec = importlib.util.find_spec("z3")
    places = (spec.submodule_search_locations if spec else None) or []
    found = [str(library) for place in places if (library := Path(place) / "lib" / "libz3.so").exists()]
    return {**os.environ, "TILESCALE_Z3": found[0]} if found else dict(os.environ)


class GoldenError(Exception):
    """A case that fails; the text is what the developer reads."""


@dataclass
class Case:
    name: str
    head: str  # comments, command and input: all before the mark
    kind: str  # EXPECT, EXPECT-ERROR or SAME-AS
    expected: str  # text after the mark, or the name after SAME-AS

    def command(self, tools: Path) -> list[str]:
        found = RUN.search(self.head)
        if not found:
            raise GoldenError(f"case {self.name} has no '// RUN:' line")
        words = shlex.split(found.group(1))
        return [str(tools / words[0]) if words[0] == "tilescale-opt" else words[0], *words[1:]]

    def output(self, tools: Path, root: Path) -> str:
        """What the command prints, or GoldenError if it exits otherwise than the mark says."""
        done = subprocess.run(
            self.command(tools),
            input=COMMENT.sub("", self.head),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=root,
            env=environment(),
        )
        wants_error = self.kind == "EXPECT-ERROR"
        if (done.returncode != 0) != wants_error:
            raise GoldenError(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
        return (done.stderr if wants_error else done.stdout).rstrip() + "\n"


def parse(text: str) -> list[Case]:
    cases = []
    for number, part in enumerate(SPLIT.split(text)):
        mark = MARK.search(part)
        head = part[: mark.start()] if mark else part
        named = NAME.search(head)
        name = named.group(1) if named else f"case{number}"
        if mark is None:
            cases.append(Case(name, head, "EXPECT", ""))
        elif mark.group(2):
            cases.append(Case(name, head, "SAME-AS", mark.group(2)))
        else:
            cases.append(Case(name, head, mark.group(1), part[mark.end() :].rstrip() + "\n"))
    return cases


def check(case: Case, cases: list[Case], tools: Path, root: Path) -> None:
    """Raises GoldenError with a diff unless the case prints what is expected."""
    expected = case.expected
    if case.kind == "SAME-AS":
        other = next((c for c in cases if c.name == case.expected), None)
        if other is None:
            raise GoldenError(f"SAME-AS names no case: {case.expected}")
        expected = other.expected
    got = case.output(tools, root)
    if got != expected:
        lines = difflib.unified_diff(expected.splitlines(True), got.splitlines(True), "expected", "got")
        raise GoldenError("".join(lines))


def update(path: Path, tools: Path, root: Path) -> None:
    """Rewrites the expected outputs of a file. Cases that fail to run keep theirs."""
    parts = []
    for case in parse(path.read_text()):
        if case.kind == "SAME-AS":
            parts.append(f"{case.head}// SAME-AS: {case.expected}\n")
            continue
        try:
            text = case.output(tools, root)
        except GoldenError:
            text = case.expected
        parts.append(f"{case.head}// {case.kind}\n{text}")
    path.write_text("// -----\n".join(parts))
