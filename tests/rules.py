# SPDX-License-Identifier: MIT
"""Is any rule of the compiler idle? `./dev mutants --rules` takes each rule of tests/rules.toml out of the compiler,
one at a time, and runs the one test that must then fail.

The files with rules are compiled once more, in build/rules, with a switch around each rule: an environment variable
says which one is out. They are linked with the other objects of the build; the source tree is never touched. What
counts is a test that fails: not one that ends otherwise, nor one that is not there. The tests pass with all rules in
place, or they prove nothing. docs/rules.md lists what was proven."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "tests" / "rules.toml"
DOCUMENT = ROOT / "docs" / "rules.md"
BEGIN, END = "<!-- rules: begin -->\n", "<!-- rules: end -->\n"
BUILD = Path(os.environ.get("TS_BUILD_DIR") or ROOT / "build" / "dev")
WORK = ROOT / "build" / "rules"
TARGETS = ("libtilescale.so", "bin/tilescale-opt")
LIMIT = 300  # seconds of one test
SWITCH = "TS_RULE_OUT"
PROLOGUE = f"""#include <cstdlib>
#include <cstring>
static bool RuleIsOut(const char* name) {{
  static const char* out = std::getenv("{SWITCH}");
  return out != nullptr && std::strcmp(out, name) == 0;
}}
"""


@dataclass
class Rule:
    """`text` of `file` says what `says` tells; with `change` in the place of what stands between « and », or of all of
    it, `test` fails. Both are statements, or both expressions of one type."""

    name: str
    file: str
    says: str
    text: str
    change: str
    test: str

    def place(self, source: str) -> tuple[int, int]:
        """Where in a file the switch stands."""
        plain = re.sub("[«»]", "", self.text)
        assert source.count(plain) == 1, f"rule {self.name}: its text is {source.count(plain)} times in {self.file}"
        begin = source.index(plain)
        head, mark, rest = self.text.partition("«")
        return (begin + len(head), begin + len(head) + rest.index("»")) if mark else (begin, begin + len(plain))


def rules() -> list[Rule]:
    return [Rule(**entry) for entry in tomllib.loads(TABLE.read_text())["rule"]]


# A library whose rules can be taken out


def switched(source: str, found: list[Rule]) -> str:
    """The text of a file with a switch around each rule. A rule may stand inside another one's text."""
    spans = sorted((rule.place(source) + (rule,) for rule in found), key=lambda span: (span[0], -span[1]))

    def render(begin: int, end: int, spans: list[tuple[int, int, Rule]]) -> str:
        out, at = "", begin
        while spans:
            first, last, rule = spans[0]
            inner = [span for span in spans[1:] if span[1] <= last]
            rest = [span for span in spans[1:] if span[0] >= last]
            assert len(inner) + len(rest) == len(spans) - 1, f"rule {rule.name}: its text overlaps another one's"
            out += source[at:first] + switch(rule, render(first, last, inner))
            at, spans = last, rest
        return out + source[at:end]

    return PROLOGUE + render(0, len(source), spans)


def switch(rule: Rule, text: str) -> str:
    out = f'RuleIsOut("{rule.name}")'
    if text.endswith((";", "}")):
        return f"{{ if ({out}) {{ {rule.change} }} else {{ {text} }} }}"
    return f"({out} ? ({rule.change}) : ({text}))"


def commands(target: str) -> list[list[str]]:
    """What the build runs for a target, from nothing, in order."""
    done = subprocess.run(["ninja", "-t", "commands", target], cwd=BUILD, check=True, capture_output=True, text=True)
    lines = [line.removeprefix(": && ").removesuffix(" && :") for line in done.stdout.splitlines()]
    return [shlex.split(line) for line in lines]


def run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)}\n{(done.stderr or done.stdout)[-4000:]}")


def build(found: list[Rule], jobs: int) -> None:
    """Compiles the files of the rules with switches and links what the tests use, into WORK."""
    compiles = {Path(c[c.index("-c") + 1]): c for c in commands(TARGETS[0]) if "-c" in c}
    objects: dict[str, str] = {}
    runs = []
    for file in sorted({rule.file for rule in found}):
        changed = WORK / file
        changed.parent.mkdir(parents=True, exist_ok=True)
        changed.write_text(switched((ROOT / file).read_text(), [rule for rule in found if rule.file == file]))
        command = list(compiles[ROOT / file])
        for option in ("-MT", "-MF"):
            del command[command.index(option) : command.index(option) + 2]
        command.remove("-MD")
        command[command.index("-c") + 1] = str(changed)
        output = command.index("-o") + 1
        objects[command[output]] = command[output] = str(changed.with_suffix(".o"))
        runs.append([*command, "-w"])  # what only one side of a switch uses
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, runs))
    for target in TARGETS:
        command = [objects.get(word, word) for word in commands(target)[-1]]
        (WORK / target).parent.mkdir(exist_ok=True)
        command[command.index("-o") + 1] = str(WORK / target)
        run([*command, "-Wl,--strip-debug"])


# Tests


def run_tests(tests: list[str], out: str, limit: int) -> tuple[int, str]:
    """pytest's exit status and output, without a rule, or with all of them."""
    cache = WORK / "cache" / (out or "none")  # compiled kernels: they know nothing of the switch
    environment = {**os.environ, "TS_BUILD_DIR": str(WORK), "TILESCALE_LIBRARY": str(WORK / TARGETS[0])}
    environment |= {"PYTHONPATH": str(ROOT / "python"), "TILESCALE_CACHE_DIR": str(cache), SWITCH: out}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return -1, f"no end after {limit} s"
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    return done.returncode, done.stdout + done.stderr


def verdict(status: int, output: str) -> str:
    """What is wrong with a rule's entry; empty: its test fails without it."""
    if status == 0:
        return "idle: its test passes without it"
    if status == 1 and re.search(r"^FAILED ", output, re.MULTILINE):
        return ""
    return f"its test does not fail, it ends with {status}:\n{output[-1500:]}"


def prove(rule: Rule) -> str:
    return verdict(*run_tests([rule.test], rule.name, LIMIT))


# The document


def table(found: list[Rule]) -> str:
    lines = []
    for file in sorted({rule.file for rule in found}):
        lines += ["", f"### `{file}`", "", "| rule | says | test that fails without it |", "| --- | --- | --- |"]
        lines += [f"| {rule.name} | {rule.says} | `{rule.test}` |" for rule in found if rule.file == file]
    return f"{len(found)} rules.\n" + "\n".join(lines) + "\n"


def documented(document: str, text: str) -> str:
    head, _, rest = document.partition(BEGIN)
    return f"{head}{BEGIN}{text}{END}{rest.partition(END)[2]}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev mutants --rules", description=__doc__)
    parser.add_argument("names", nargs="*", help="these rules, without the document")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    listed = rules()
    chosen = [rule for rule in listed if not options.names or rule.name in options.names]
    if unknown := set(options.names) - {rule.name for rule in chosen}:
        parser.error(f"no rule {sorted(unknown)[0]} in tests/rules.toml")
    build(listed, options.jobs)
    status, output = run_tests(sorted({rule.test for rule in chosen}), "", len(chosen) * LIMIT)
    if status != 0:
        print(f"{output[-3000:]}\nrules: the tests do not pass with all rules in place")
        return 1
    problems = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for rule, problem in zip(chosen, pool.map(prove, chosen), strict=True):
            problems += bool(problem)
            print(f"{rule.name}: {problem or 'ok'}", flush=True)
    if not options.names and not problems:
        DOCUMENT.write_text(documented(DOCUMENT.read_text(), table(listed)))
    print(f"rules: {len(chosen)} rules, {problems} problems, {time.monotonic() - begin:.0f} s")
    return 1 if problems else 0
