#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs every check, and all of them even if one fails. With names, only those; --all: tidy on every file."""

import subprocess
import sys
import time

from sources import ROOT, files

HERE = "tools/lint"


def commands() -> dict[str, list[str]]:
    python = sys.executable
    own = {
        name: [python, f"{HERE}/check_{name}.py"]
        for name in ("layers", "sizes", "ops", "asm", "knobs", "text", "rules")
    }
    return {
        **own,
        "format": [python, f"{HERE}/fmt.py", "--check"],
        "ruff": ["ruff", "check", "--quiet", *files(".py")],
        "mypy": ["mypy"],
        # Tests misspell on purpose.
        "codespell": ["codespell", *(f for f in files() if not f.startswith("tests/"))],
        "tidy": [python, f"{HERE}/tidy.py", *(["--all"] if "--all" in sys.argv[1:] else [])],
    }


def main() -> int:
    chosen = commands()
    names = [name for name in sys.argv[1:] if name != "--all"]
    unknown = [name for name in names if name not in chosen]
    if unknown:
        print(f"no check '{unknown[0]}'; there are: {', '.join(chosen)}", file=sys.stderr)
        return 2
    failed = []
    for name in names or chosen:
        begin = time.monotonic()
        if subprocess.run(chosen[name], cwd=ROOT).returncode != 0:
            failed.append(name)
        print(f"[{name}: {time.monotonic() - begin:.1f} s]", flush=True)
    print(f"lint: {', '.join(failed)} failed" if failed else "lint: ok")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
