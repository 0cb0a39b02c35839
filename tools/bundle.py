#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes one relocatable archive that runs where there is no package index.

It holds the package with the stripped core library and the device headers, tvm-ffi for CPython 3.10 to
3.13, libz3, the examples, the benchmarks and the tests that a GPU machine runs. Unpack it anywhere and
start programs with its `tilescale-env`: it needs Linux on x86-64, a Python, and for tensors whatever
the program uses. NVRTC and the driver are that machine's. Usage: bundle.py [FILE.tar.gz]
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("TS_BUILD_DIR") or ROOT / "build" / "dev")
PYTHONS = ("310", "311", "312", "313")
PLATFORM = "manylinux_2_28_x86_64"
LIMIT_BYTES = 40 << 20
# Of tvm-ffi's wheel only what `import tvm_ffi` loads: not its sources and headers.
UNUSED = re.compile(r"^tvm_ffi/(src|3rdparty|include|share|cython|CMakeLists)")
SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache", ".hypothesis", "lib", "include")

LAUNCHER = """\
#!/bin/sh
# Runs a command with this copy of TileScale: ./tilescale-env python3 examples/quickstart.py
# Without a command it prints the settings, for `eval "$(./tilescale-env)"`.
here=$(cd "$(dirname "$0")" && pwd)
PYTHONPATH="$here/site${PYTHONPATH:+:$PYTHONPATH}"
TILESCALE_Z3="$here/z3/libz3.so"
if [ $# -eq 0 ]; then
  printf 'export PYTHONPATH=%s TILESCALE_Z3=%s\\n' "'$PYTHONPATH'" "'$TILESCALE_Z3'"
  exit
fi
export PYTHONPATH TILESCALE_Z3
exec "$@"
"""

PYTEST_INI = """\
[pytest]
addopts = -q --import-mode=importlib
pythonpath = . tests
markers =
    gpu: needs an NVIDIA GPU
    slow: runs only with --all
"""


def run(*command: str) -> None:
    print("+", " ".join(command), file=sys.stderr)
    subprocess.run(command, check=True)


def project_version() -> str:
    found = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert found is not None
    return found.group(1)


def copy_package(site: Path) -> None:
    package = site / "tilescale"
    shutil.copytree(ROOT / "python" / "tilescale", package, ignore=SKIPPED)
    shutil.copytree(ROOT / "device", package / "include" / "device")
    shutil.copytree(ROOT / "sim" / "include", package / "include" / "sim")
    information = site / f"tilescale-{project_version()}.dist-info"
    information.mkdir()
    metadata_text = f"Metadata-Version: 2.1\nName: tilescale\nVersion: {project_version()}\n"
    (information / "METADATA").write_text(metadata_text)
    (package / "lib").mkdir()
    library = package / "lib" / "libtilescale.so"
    shutil.copy(BUILD / "libtilescale.so", library)
    run("strip", "--strip-unneeded", "--remove-section=.comment", str(library))


def download_tvm_ffi(python: str, folder: Path) -> Path:
    """The wheel of the version that the core was compiled against."""
    before = set(folder.glob("*.whl"))
    version = metadata.version("apache-tvm-ffi")
    choice = ["--python-version", f"{python[0]}.{python[1:]}", "--abi", f"cp{python}"]
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
        *(*choice, "--implementation", "cp", "--platform", PLATFORM),
        *("--dest", str(folder), f"apache-tvm-ffi=={version}"),
    )
    (wheel,) = set(folder.glob("*.whl")) - before
    return wheel


def merge_wheel(wheel: Path, site: Path) -> None:
    """Unpacks a wheel over those of other Pythons: only the extension module differs between them."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith("/") or UNUSED.search(name):
                continue
            content = archive.read(name)
            target = site / name
            if target.exists() and ".dist-info/" not in name and target.read_bytes() != content:
                if name.endswith(".py"):
                    raise SystemExit(f"{wheel.name}: {name} differs from that of another Python")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def copy_tvm_ffi(site: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for python in PYTHONS:
            merge_wheel(download_tvm_ffi(python, Path(folder)), site)
    for library in [*site.glob("tvm_ffi/*.so"), *site.glob("tvm_ffi/lib/*.so")]:
        run("strip", "--strip-unneeded", str(library))
    import typing_extensions  # tvm-ffi's only dependency, one file

    shutil.copy(typing_extensions.__file__, site)


def copy_z3(folder: Path) -> None:
    # By a path of its own and not as the package z3: a program may have that package.
    spec = importlib.util.find_spec("z3")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("z3-solver is not installed; run ./dev setup")
    folder.mkdir()
    shutil.copy(Path(spec.submodule_search_locations[0]) / "lib" / "libz3.so", folder)
    run("strip", "--strip-unneeded", str(folder / "libz3.so"))


def copy_programs(folder: Path) -> None:
    for name in ("examples", "benchmarks", "tests"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=SKIPPED)
    shutil.rmtree(folder / "tests" / "unit", ignore_errors=True)
    shutil.rmtree(folder / "tests" / "golden", ignore_errors=True)
    shutil.rmtree(folder / "tests" / "lint", ignore_errors=True)
    shutil.copy(ROOT / "tools" / "run_golden.py", folder / "site")
    (folder / "pytest.ini").write_text(PYTEST_INI)
    shutil.copy(ROOT / "LICENSE", folder)


def make_tree(folder: Path) -> None:
    site = folder / "site"
    site.mkdir(parents=True)
    copy_package(site)
    copy_tvm_ffi(site)
    copy_z3(folder / "z3")
    copy_programs(folder)
    launcher = folder / "tilescale-env"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)


def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    return info


def main() -> None:
    name = f"tilescale-{project_version()}-linux-x86_64"
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / f"{name}.tar.gz"
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        make_tree(Path(folder) / name)
        with tarfile.open(output, "w:gz", compresslevel=9) as archive:
            archive.add(Path(folder) / name, name, filter=anonymous)
    size = output.stat().st_size
    if size > LIMIT_BYTES:
        raise SystemExit(f"{output} has {size} bytes, the limit is {LIMIT_BYTES}")
    print(f"{output}: {size / (1 << 20):.1f} MiB")


if __name__ == "__main__":
    main()
