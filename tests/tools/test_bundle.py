# SPDX-License-Identifier: MIT
"""The bundle works from any folder, with nothing but a Python: the slow tier, it downloads wheels."""

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import tilescale, tvm_ffi
from tilescale import _ffi
assert all(m.__file__.startswith(sys.argv[1]) for m in (tilescale, tvm_ffi)), tilescale.__file__
assert _ffi._library_file().is_relative_to(sys.argv[1])
print(tilescale.__version__, _ffi.function("build_id")())
"""


@pytest.mark.slow
def test_bundle_is_relocatable(tmp_path):
    archive = tmp_path / "bundle.tar.gz"
    subprocess.run([sys.executable, str(ROOT / "tools" / "bundle.py"), str(archive)], check=True)
    assert archive.stat().st_size <= 40 << 20
    with tarfile.open(archive) as content:
        content.extractall(tmp_path / "a place with spaces")
    (folder,) = (tmp_path / "a place with spaces").iterdir()
    # No site packages of this environment, no variables: only the interpreter itself.
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    done = subprocess.run(
        [folder / "tilescale-env", base, "-c", PROGRAM, str(folder)],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    version, build_id = done.stdout.split()
    assert version[0].isdigit()
    assert len(build_id) == 40
