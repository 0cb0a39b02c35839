# SPDX-License-Identifier: MIT
"""The runners of golden files, snippets and tests report what fails and pass what does not."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import run_golden

ROOT = Path(__file__).resolve().parents[2]

GOLDEN = """\
// CASE: upper
// RUN: tr a-z A-Z
abc
// EXPECT
ABC
// -----
// CASE: same
// RUN: tr b-z B-Z
Abc
// SAME-AS: upper
// -----
// RUN: sh -c "echo bad >&2; exit 1"
// EXPECT-ERROR
bad
"""


def failures(text: str) -> dict[str, str]:
    cases = run_golden.parse(text)
    failed = {}
    for case in cases:
        try:
            run_golden.check(case, cases, Path("/nonexistent"), ROOT)
        except run_golden.GoldenError as error:
            failed[case.name] = str(error)
    return failed


def test_golden_cases_pass():
    assert [case.name for case in run_golden.parse(GOLDEN)] == ["upper", "same", "case2"]
    assert failures(GOLDEN) == {}


@pytest.mark.parametrize(
    ("old", "new", "failed", "text"),
    [
        ("ABC\n// -", "ABD\n// -", ["upper", "same"], "-ABD\n+ABC\n"),
        ("exit 1", "exit 0", ["case2"], "exit 0\n"),
        ("tr a-z A-Z", "false", ["upper"], "exit 1\n"),
        ("SAME-AS: upper", "SAME-AS: lower", ["same"], "SAME-AS names no case: lower"),
        ("// RUN: tr a-z A-Z\n", "", ["upper"], "case upper has no '// RUN:' line"),
    ],
)
def test_golden_cases_fail(old, new, failed, text):
    found = failures(GOLDEN.replace(old, new))
    assert list(found) == failed
    assert text in found[failed[0]]


def test_golden_update_is_a_fixed_point(tmp_path):
    file = tmp_path / "a.ir"
    file.write_text(GOLDEN.replace("ABC", "old"))
    run_golden.update(file, Path("/nonexistent"), ROOT)
    assert file.read_text() == GOLDEN


def run_snippets(path: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools" / "run_snippets.py"), str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def test_snippets_run_in_order_in_one_folder(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\necho 41 > n\n```\ntext\n"
        "```python\nassert int(open('n').read()) == 41\n```\n"
        "<!-- no-run: it fails -->\n```bash\nfalse\n```\n"
        "```text\nnot run\n```\n"
    )
    done = run_snippets(page)
    assert (done.returncode, done.stdout) == (0, "2/2 blocks pass, 1 skipped\n")


def test_a_failing_snippet_is_named(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n```python\nraise SystemExit('no')\n```\n")
    done = run_snippets(page)
    assert done.returncode == 1
    assert "page.md:4 (python)\nno\n\n0/1 blocks pass, 0 skipped\n" in done.stdout


def load_run():
    spec = importlib.util.spec_from_file_location("tests_run", ROOT / "tests" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_patterns_are_paths_or_expressions():
    arguments = load_run().pytest_arguments
    assert arguments(["-n0"]) == ["-n0", "tests"]
    assert arguments(["tests/lint", "-n0"]) == ["-n0", "tests/lint"]
    assert arguments(["gemm and not fp8", "layout", "-n0"]) == [
        "-n0",
        "-k",
        "(gemm and not fp8) or (layout)",
        "tests",
    ]
    # A folder of sources is no path of tests, but a word in their names.
    assert arguments(["support", "-n0"]) == ["-n0", "-k", "(support)", "tests"]
    assert arguments(["--update-golden"]) == ["--update-golden", "-n", "0", "tests"]


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["tests/nosuchthing"], "no test matches: there is no tests/nosuchthing"),
        (["nosuchthing", "tests/lint", "-n0"], "no test matches: nosuchthing tests/lint"),
    ],
)
def test_a_pattern_without_a_test_is_named(arguments, line):
    run = [sys.executable, ROOT / "tests" / "run.py", *arguments]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == line


def test_the_gtest_bridge_reports_failures(tmp_path):
    """A suite that fails, one that passes, and a file without an executable, through real pytest."""
    tests = tmp_path / "tests"
    (tests / "unit" / "demo").mkdir(parents=True)
    (tests / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    for name in ("good", "bad", "lost"):
        (tests / "unit" / "demo" / f"{name}_test.cc").write_text("")
    executable = tmp_path / "build" / "bin" / "unit_demo"
    executable.parent.mkdir(parents=True)
    listing = (
        '{"testsuites": [{"name": "Good", "testsuite": [{"name": "A", "file": "x/good_test.cc"}]},'
        ' {"name": "Bad", "testsuite": [{"name": "A", "file": "x/bad_test.cc"}]}]}'
    )
    executable.write_text(
        "#!/bin/sh\n"
        f"case $2 in --gtest_output=json:*) echo '{listing}' > \"${{2#--gtest_output=json:}}\"; exit;; esac\n"
        'test "$1" = "--gtest_filter=Good.*" || { echo "bad_test.cc:3: Failure"; exit 1; }\n'
    )
    executable.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tests)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "TS_BUILD_DIR": str(tmp_path / "build"), "PYTHONPATH": str(ROOT / "tools")},
    )
    assert done.returncode == 1
    assert "bad_test.cc:3: Failure" in done.stdout
    assert "unit_demo has no tests of this file; run ./dev build" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("2 failed, 1 passed in ")
