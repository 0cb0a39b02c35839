# SPDX-License-Identifier: MIT
"""One pytest session runs everything: Python tests, C++ unit tests and golden files.

`tests/unit/<folder>/*_test.cc` become items through the built executable `unit_<folder>`, one item
for each GoogleTest suite; those of `tests/golden/{passes,ops}` one item for each case.
"""

import ctypes
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest
import run_golden

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("TS_BUILD_DIR") or ROOT / "build" / "dev")
TOOLS = BUILD / "bin"
CACHE = BUILD / "test-cache"
if (BUILD / "libtilescale.so").exists():  # a bundle brings its own
    os.environ.setdefault("TILESCALE_LIBRARY", str(BUILD / "libtilescale.so"))
os.environ.setdefault("TILESCALE_VERIFY", "1")
# What every thread stores should be stored once: the compiler's slips show so.
os.environ.setdefault("TILESCALE_SIM_STRICT_STORES", "1")
# Kernels are cached for one session, apart from the user's own.
os.environ.setdefault("TILESCALE_CACHE_DIR", str(CACHE))


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="run the slow tier too")
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files")


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # once, before xdist's workers start
        shutil.rmtree(CACHE, ignore_errors=True)


@cache
def has_gpu() -> bool:
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    for item in items:
        if item.get_closest_marker("gpu") and not has_gpu():
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


def pytest_collect_file(file_path, parent):
    golden = ROOT / "tests" / "golden"
    # The files of stages/ are whole texts, which tests/golden/test_stages.py compares.
    if file_path.suffix == ".ir" and golden in file_path.parents and golden / "stages" not in file_path.parents:
        return GoldenFile.from_parent(parent, path=file_path)
    if file_path.name.endswith("_test.cc") and ROOT / "tests" / "unit" in file_path.parents:
        return UnitFile.from_parent(parent, path=file_path)
    return None


class TextError(Exception):
    """A failure whose text is the whole report."""


class TextItem(pytest.Item):
    """An item that reports its failure as text, without a Python traceback."""

    def repr_failure(self, excinfo):
        if isinstance(excinfo.value, (TextError, run_golden.GoldenError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, None, self.name


class GoldenFile(pytest.File):
    def collect(self):
        if self.config.getoption("--update-golden"):
            run_golden.update(self.path, TOOLS, ROOT)
        cases = run_golden.parse(self.path.read_text())
        for case in cases:
            yield GoldenItem.from_parent(self, name=case.name, case=case, cases=cases)


class GoldenItem(TextItem):
    def __init__(self, case, cases, **kwargs):
        super().__init__(**kwargs)
        self.case, self.cases = case, cases

    def runtest(self):
        run_golden.check(self.case, self.cases, TOOLS, ROOT)


@cache
def suites(executable: Path) -> dict[str, list[str]]:
    """Names of the GoogleTest suites in each source file of an executable."""
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "tests.json"
        done = subprocess.run(
            [executable, "--gtest_list_tests", f"--gtest_output=json:{listing}"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise pytest.Collector.CollectError(f"{executable}: exit {done.returncode}\n{done.stderr}")
        found: dict[str, list[str]] = {}
        for suite in json.loads(listing.read_text())["testsuites"]:
            for test in suite["testsuite"]:
                names = found.setdefault(Path(test["file"]).name, [])
                if suite["name"] not in names:
                    names.append(suite["name"])
        return found


class UnitFile(pytest.File):
    def collect(self):
        folder = self.path.relative_to(ROOT / "tests" / "unit").parts[0]
        executable = TOOLS / f"unit_{folder}"
        names = suites(executable).get(self.path.name, []) if executable.exists() else []
        if not names:
            yield UnitItem.from_parent(self, name="missing", executable=executable, suite=None)
        for name in names:
            yield UnitItem.from_parent(self, name=name, executable=executable, suite=name)


def solver() -> dict[str, str]:
    """The variable by which a C++ test finds libz3: nothing there asks Python for its wheel."""
    found = importlib.util.find_spec("z3")
    libraries = sorted(Path(found.origin).parent.glob("lib/libz3.so*")) if found and found.origin else []
    return {"TILESCALE_Z3": str(libraries[0])} if libraries else {}


class UnitItem(TextItem):
    def __init__(self, executable, suite, **kwargs):
        super().__init__(**kwargs)
        self.executable, self.suite = executable, suite

    def runtest(self):
        if self.suite is None:
            raise TextError(f"{self.executable} has no tests of this file; run ./dev build")
        done = subprocess.run(
            [self.executable, f"--gtest_filter={self.suite}.*", "--gtest_brief=1"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=solver() | os.environ,
            timeout=280,
        )
        if done.returncode != 0:
            raise TextError(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
