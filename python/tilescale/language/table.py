# SPDX-License-Identifier: MIT
"""Reads table.txt: one row an op. Needs nothing but the text, so the stub generator and lint use it too."""

import ast
import inspect
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
KINDS = ("tile", "call", "pure", "note")


def _split(text: str) -> list[str]:
    """The parts between commas that are in no bracket and no string."""
    parts, depth, quote, start = [], 0, "", 0
    for i, c in enumerate(text):
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c == "," and not depth:
            parts.append(text[start:i].strip())
            start = i + 1
        else:
            depth += (c in "([{") - (c in ")]}")
    last = text[start:].strip()
    return [*parts, last] if last else parts


def _call(text: str) -> tuple[str, list[str], str]:
    """`name(a, b) rest` as its name, its arguments and the rest."""
    open_at, depth = text.index("("), 0
    for i in range(open_at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if not depth:
            return text[:open_at], _split(text[open_at + 1 : i]), text[i + 1 :].strip()
    raise ValueError(f"unbalanced parentheses in the row {text!r}")


class Row:
    """One op: `kind name(parameters) [as target(arguments)] [-> result]`.

    `positional` and `keyword_only` are parameter names, `rest` that of `*args`; `marks` and `defaults` are by name.
    `target` is what the builder is told; `sent` its arguments: a parameter's name, or a literal.
    """

    def __init__(self, line: str) -> None:
        self.kind, _, text = line.partition(" ")
        self.name, params, tail = _call(text)
        self.positional: list[str] = []
        self.keyword_only: list[str] = []
        self.rest: str | None = None
        self.marks: dict[str, str] = {}
        self.defaults: dict[str, Any] = {}
        self._read_parameters(params)
        if self.kind == "tile" and "annotations" not in self.marks:
            self.keyword_only.append("annotations")
            self.marks["annotations"], self.defaults["annotations"] = "", None
        self.target, self.sent = self.name, self._default_order()
        if tail.startswith("as "):
            self.target, arguments, tail = _call(tail[3:])
            self.sent = [(a, None) if a in self.marks else (None, ast.literal_eval(a)) for a in arguments]
            if self.kind == "tile":
                self.sent.append(("annotations", None))
        self.result = tail.removeprefix("->").strip()

    def _read_parameters(self, params: list[str]) -> None:
        keyword_only = False
        for param in params:
            if param == "*":
                keyword_only = True
                continue
            head, _, default = param.partition("=")
            name, _, mark = head.partition(":")
            if name.startswith("*"):
                name = self.rest = name[1:]
                keyword_only = True
            else:
                (self.keyword_only if keyword_only else self.positional).append(name)
            if default:
                self.defaults[name] = ast.literal_eval(default)
            self.marks[name] = mark

    def _default_order(self) -> list[tuple[str | None, Any]]:
        """The order of the row, `annotations` last."""
        names = [n for n in self.marks if n != "annotations"]
        names += ["annotations"] if "annotations" in self.marks else []
        return [(n, None) for n in names]

    def signature(self) -> inspect.Signature:
        parameter = inspect.Parameter

        def make(name: str, kind: Any) -> inspect.Parameter:
            return parameter(name, kind, default=self.defaults.get(name, parameter.empty))

        made = [make(n, parameter.POSITIONAL_OR_KEYWORD) for n in self.positional]
        if self.rest is not None:
            made.append(parameter(self.rest, parameter.VAR_POSITIONAL))
        made += [make(n, parameter.KEYWORD_ONLY) for n in self.keyword_only]
        return inspect.Signature(made)


def read_rows() -> dict[str, str]:
    """Name to line. Lines are parsed when a name is first used."""
    rows = {}
    for line in (_FOLDER / "table.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name = line[5 : line.index("(")]
            if line[:4] not in KINDS or name in rows:
                raise ValueError(f"table.txt: bad or second row {line!r}")
            rows[name] = line
    return rows


def read_docs() -> dict[str, str]:
    """docs.txt: a line `name: first sentence`, further lines indented."""
    docs: dict[str, str] = {}
    name = ""
    for line in (_FOLDER / "docs.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith(" "):
            docs[name] += "\n" + line.strip()
        else:
            name, _, text = line.partition(": ")
            docs[name] = text
    return docs
