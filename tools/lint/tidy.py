#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""clang-tidy on the C++ files that changed, and on those beside a header that did; --all for every file.

Changed means: not committed, or in the commits since this branch left main; on main itself, in the last commit.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sources import ROOT, files

BUILD = Path(os.environ.get("TS_BUILD_DIR") or ROOT / "build" / "dev")


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else []


def base() -> str:
    """The commit that changes are counted from."""
    head = git("rev-parse", "HEAD")
    for main in ("origin/main", "main"):
        left = git("merge-base", "HEAD", main)
        if left and left != head:
            return left[0]
    return "HEAD~1" if git("rev-parse", "--verify", "--quiet", "HEAD~1") else "HEAD"


def changed_sources(sources: list[str]) -> list[str]:
    changed = {*git("diff", "--name-only", base()), *git("ls-files", "--others", "--exclude-standard")}
    # A header is looked at through the source file of its name.
    changed |= {path.removesuffix(".h") + ".cc" for path in changed if path.endswith(".h")}
    return [path for path in sources if path in changed]


def write_database() -> Path:
    """A copy of compile_commands.json that clang understands: without gcc's precompiled header."""
    commands = json.loads((BUILD / "compile_commands.json").read_text())
    for entry in commands:
        words = entry["command"].split()
        while "-include" in words:
            at = words.index("-include")
            del words[at : at + 2]
        entry["command"] = " ".join(w for w in words if not w.startswith("-Wno-"))
    folder = BUILD / "tidy"
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(commands))
    return folder


def tidy(path: str, database: Path) -> str:
    """What clang-tidy says about a file; empty if nothing."""
    # libstdc++ uses its own deprecated functions, our flags name gcc's warnings, and tvm-ffi reads members of
    # classes by name.
    quiet = ["-Wno-unknown-warning-option", "-Wno-deprecated-declarations", "-Wno-unused-const-variable"]
    extra = [f"--extra-arg={flag}" for flag in quiet]
    command = ["clang-tidy", "-p", str(database), "--quiet", *extra]
    done = subprocess.run([*command, path], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"{done.stdout}{done.stderr}"


def main() -> int:
    sources = files(".cc", under=("support/", "compiler/", "runtime/", "sim/", "tools/"))
    if "--all" not in sys.argv[1:]:
        sources = changed_sources(sources)
    database = write_database()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        findings = [text for text in pool.map(lambda path: tidy(path, database), sources) if text]
    print("\n".join(findings) if findings else f"clang-tidy: ok, {len(sources)} files")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
