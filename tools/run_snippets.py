#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the ```python and ```bash blocks of Markdown files.

The blocks of one file run in order in one fresh folder, python ones with this interpreter. A
block right after the line '<!-- no-run: reason -->' is skipped. Usage: run_snippets.py FILE_OR_FOLDER...
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(?P<skip><!-- no-run: [^\n]+-->\n)?```(?P<lang>python|bash)\n(?P<code>.*?)^```$", re.M | re.S)
TIMEOUT_S = 300


def markdown_files(arguments: list[str]) -> list[Path]:
    found: list[Path] = []
    for argument in arguments:
        path = ROOT / argument
        found += sorted(path.rglob("*.md")) if path.is_dir() else [path]
    return found


def run_block(language: str, code: str, folder: str) -> subprocess.CompletedProcess:
    if language == "python":
        # A file, not stdin: the language reads the source of the functions that it traces.
        script = Path(folder) / "snippet.py"
        script.write_text(code)
        command = [sys.executable, str(script)]
    else:
        command = ["bash", "-euo", "pipefail", "-c", code]
    environment = {**os.environ, "TILESCALE_REPO": str(ROOT)}
    return subprocess.run(command, text=True, capture_output=True, cwd=folder, timeout=TIMEOUT_S, env=environment)


def main() -> int:
    ran = skipped = failed = 0
    for path in markdown_files(sys.argv[1:]):
        text = path.read_text()
        with tempfile.TemporaryDirectory() as folder:
            for block in BLOCK.finditer(text):
                if block["skip"]:
                    skipped += 1
                    continue
                ran += 1
                done = run_block(block["lang"], block["code"], folder)
                if done.returncode != 0:
                    failed += 1
                    line = text.count("\n", 0, block.start("code")) + 1
                    where = f"{os.path.relpath(path, ROOT)}:{line} ({block['lang']})"
                    print(f"FAIL {where}\n{done.stdout}{done.stderr}")
    print(f"{ran - failed}/{ran} blocks pass, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
