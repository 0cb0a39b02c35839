#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Entries of tests/rules.toml: a text stands once in its file, the test is there, and docs/rules.md tells the same.
That the test fails without the rule is what `./dev mutants --rules` proves."""

import re
import sys

from sources import ROOT, files, read, report

sys.path.insert(0, str(ROOT / "tests"))

import rules

LONGEST = 140  # characters of what a rule says


def has_test(test: str, text: str) -> bool:
    """Is a test in the text of its file? Of a parametrised one only the function is looked for."""
    name = test.partition("::")[2]
    if ".ir::" in test:
        return re.search(rf"^// CASE: *{re.escape(name)}(\s|$)", text, re.MULTILINE) is not None
    function, _, parameter = name.partition("[")
    found = re.search(rf"^def {re.escape(function)}\(", text, re.MULTILINE)
    if found is None:
        return False
    decorators = text[: found.start()].rpartition("\n\n")[2]
    return ("parametrize" in decorators) == bool(parameter)


def check(found: list[rules.Rule], texts: dict[str, str], document: str) -> list[str]:
    errors = []
    names: set[str] = set()
    for rule in found:
        where = f"tests/rules.toml: rule {rule.name}"
        if rule.name in names:
            errors.append(f"{where}: there is another one of this name")
        names.add(rule.name)
        plain = re.sub("[«»]", "", rule.text)
        if (count := texts.get(rule.file, "").count(plain)) != 1:
            errors.append(f"{where}: its text is {count} times in {rule.file}")
        if not has_test(rule.test, texts.get(rule.test.partition("::")[0], "")):
            errors.append(f"{where}: there is no test {rule.test}")
        if not rule.says.endswith(".") or len(rule.says) > LONGEST:
            errors.append(f"{where}: what it says is a sentence of at most {LONGEST} characters")
    if rules.table(found) not in document:
        errors.append("docs/rules.md is stale: ./dev mutants --rules proves the rules and rewrites it")
    return errors


def main() -> int:
    found = rules.rules()
    wanted = {rule.file for rule in found} | {rule.test.partition("::")[0] for rule in found}
    texts = {f: read(f) for f in files() if f in wanted}
    return report("rules", check(found, texts, read("docs/rules.md")))


if __name__ == "__main__":
    sys.exit(main())
