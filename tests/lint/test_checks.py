# SPDX-License-Identifier: MIT
"""The checks of tools/lint find what they are for, and let the rest pass."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "lint"))

import check_asm
import check_knobs
import check_layers
import check_ops
import check_rules
import check_sizes
import check_text
import tidy

LAYERS = check_layers.Layers(
    {
        "allow": {
            "support": [],
            "compiler/ir": ["support"],
            "compiler/ops": ["support", "compiler/ir"],
            "compiler/passes": ["compiler/ir", "compiler/ops/tile_op.h"],
        },
        "isolated": {"compiler/ops": "compiler/ops/common"},
    }
)


@pytest.mark.parametrize(
    ("path", "include", "objection"),
    [
        ("support/a.cc", "compiler/ir/b.h", "support may not include compiler/ir/b.h"),
        ("compiler/ir/a.cc", "compiler/ops/t.h", "compiler/ir may not include compiler/ops/t.h"),
        ("compiler/passes/a.cc", "compiler/ops/tile_op.h", None),
        (
            "compiler/passes/a.cc",
            "compiler/ops/gemm/gemm.h",
            "compiler/passes may not include compiler/ops/gemm/gemm.h",
        ),
        ("compiler/ops/gemm/a.cc", "compiler/ops/gemm/a.h", None),
        ("compiler/ops/gemm/a.cc", "compiler/ops/common/a.h", None),
        ("compiler/ops/gemm/a.cc", "compiler/ops/tile_op.h", None),
        (
            "compiler/ops/gemm/a.cc",
            "compiler/ops/copy/a.h",
            "compiler/ops/gemm may not include its sibling compiler/ops/copy",
        ),
        ("support/a.cc", "../x.h", 'write "../x.h" from the repository root'),
        ("support/a.cc", "gtest/gtest.h", None),
    ],
)
def test_layers(path, include, objection):
    expected = [f"{path}: {objection}"] if objection else []
    assert check_layers.check(LAYERS, {path: f'#include "{include}"\n'}) == expected


def test_layers_wants_every_folder_declared():
    assert check_layers.check(LAYERS, {"compiler/extra/a.cc": ""}) == [
        "compiler/extra/a.cc: its folder is not declared in layers.toml"
    ]


def test_sizes_of_functions():
    body = "  x();\n" * 100
    member = f"class C {{\n  void G() {{\n{body}  }}\n}};\n"
    text = f"namespace a {{\nint F(int x) {{\n{body}}}\n{member}int Short() {{\n  return 1;\n}}\n}}\n"
    found = check_sizes.oversized_functions("a.cc", text, 100)
    assert found == [
        "a.cc:2: F has 102 lines, the limit is 100; split it by concept",
        "a.cc:105: G has 102 lines, the limit is 100; split it by concept",
    ]
    python = "def f():\n" + "    x()\n" * 100
    assert len(check_sizes.oversized_functions("a.py", python, 100)) == 1
    assert check_sizes.oversized_functions("a.py", python, 101) == []


def test_ops_want_all_facets():
    folder = "compiler/ops/fill/"
    complete = {
        folder + "fill.cc",
        folder + "fill.md",
        "tests/golden/ops/fill.ir",
        "tests/errors/ops/test_fill.py",
        "tests/numerics/ops/test_fill.py",
    }
    paths = complete | {"compiler/ops/tile_op.h", "compiler/ops/common/x.h"}
    assert check_ops.check(paths, lambda path: ".lowerings = {") == []
    assert check_ops.check(paths, lambda path: "") == [f"{folder}: no lower_*.cc and no lowering in fill.cc"]
    for missing in complete:
        assert check_ops.check(paths - {missing}, lambda path: ".lowerings = {")


def test_passes_name_no_op():
    ops = check_ops.names(['{.syntax = {.name = "fill",\n', 'kCumsum(Row("cumsum", "cumsum $src"));'])
    assert ops == {"fill", "cumsum"}
    text = 'Record("fills");\nif (op->op == "fill") {  // "cumsum"\n'
    assert check_ops.check_named("compiler/passes/a.cc", text, ops) == [
        "compiler/passes/a.cc:2: names the op 'fill'; ask its interface (compiler/ops/tile_op.h)"
    ]


def test_asm_stands_in_its_place():
    line = 'asm volatile("nop;");\n'
    assert check_asm.check("device/tilescale/ptx/a.cuh", line) == []
    assert check_asm.check("sim/fiber.cc", line) == []
    assert check_asm.check("device/tilescale/tile/a.cuh", line) == [
        "device/tilescale/tile/a.cuh:1: inline asm outside device/tilescale/ptx"
    ]
    assert check_asm.check("sim/a.cc", "x = __asm__(1);\n// asm(2)\n") == [
        "sim/a.cc:1: inline asm outside device/tilescale/ptx"
    ]


def test_knobs_are_declared_and_used():
    text = 'x = os.environ["A"]\n'
    assert check_knobs.check_reads("python/tilescale/knobs.py", text) == []
    assert check_knobs.check_reads("python/tilescale/a.py", text) == [
        "python/tilescale/a.py:1: declare a knob in support/knobs.def instead"
    ]
    assert check_knobs.check_reads("sim/a.cc", 'std::getenv("X");') != []
    knobs = 'TS_KNOB(Alive, "A", bool, false, false, "")\nTS_KNOB(Dead, "D", bool, false, false, "")\n'
    assert check_knobs.check_used(knobs, ["if (knobs::Alive()) {"]) == [
        "support/knobs.def: nothing reads the knob Dead"
    ]


def test_rules_are_where_they_are_said_to_be():
    rule = check_rules.rules.Rule("r", "a.cc", "It holds.", "if («x») {", "false", "tests/t.py::test_a[1]")
    texts = {"a.cc": "if (x) {\n}\n", "tests/t.py": "import y\n\n\n@parametrize(z)\ndef test_a(z):\n"}
    document = check_rules.rules.table([rule])
    assert check_rules.check([rule], texts, document) == []
    assert check_rules.check([rule], texts, "") == [
        "docs/rules.md is stale: ./dev mutants --rules proves the rules and rewrites it"
    ]
    where = "tests/rules.toml: rule r: "
    assert check_rules.check([rule], {**texts, "a.cc": "if (y) {"}, document) == [f"{where}its text is 0 times in a.cc"]
    assert check_rules.check([rule], {**texts, "tests/t.py": "def test_a():\n"}, document) == [
        f"{where}there is no test tests/t.py::test_a[1]"
    ]
    assert check_rules.has_test("tests/golden/a.ir::x-y", "// CASE: x-y\n")
    assert not check_rules.has_test("tests/golden/a.ir::x", "// CASE: x-y\n")


def test_rules_are_switched():
    rules = check_rules.rules
    outer = rules.Rule("outer", "a.cc", "", "if (a) F(b);", "", "")
    inner = rules.Rule("inner", "a.cc", "", "if («a») F", "true", "")
    text = rules.switched("if (a) F(b);\nG();", [inner, outer]).removeprefix(rules.PROLOGUE)
    assert text == ('{ if (RuleIsOut("outer")) {  } else { if ((RuleIsOut("inner") ? (true) : (a))) F(b); } }\nG();')
    assert rules.verdict(1, "FAILED t.py::test_a") == ""
    assert rules.verdict(0, "") == "idle: its test passes without it"
    assert rules.verdict(4, "ERROR: not found").startswith("its test does not fail, it ends with 4")


def test_text_rules():
    machine = check_text.machine_paths()
    spdx = f"// {check_text.SPDX}\n"
    assert check_text.check("a.cc", spdx + "int x;\n", machine) == []
    assert check_text.check("a.cc", "int x;\n", machine) == [f"a.cc: the first line is not '{check_text.SPDX}'"]
    mark = "TO" + "DO"
    assert check_text.check("a.cc", f"{spdx}// {mark}: x\n", machine) == [f"a.cc:2: unfinished: // {mark}: x"]
    for path in ("/ho" + "me/someone/x", str(check_text.ROOT) + "/x"):
        assert check_text.check("a.md", path + "\n", machine) == [f"a.md:1: a path of one machine: {path}"]
    assert check_text.check("a.md", "/usr/local/cuda/lib64\n", machine) == []


def test_cited_documents():
    here = frozenset({"ir.md", "README.md"})
    assert check_text.check_cited("a.h", "// I7: docs/ir.md, README.md.\n", here) == []
    assert check_text.check_cited("a.h", "int x;\n// see plan.md\n", here) == [
        "a.h:2: no document plan.md is here: // see plan.md"
    ]
    assert check_text.check_cited("a.h", "// docs/ir.md §4\n", here) == [
        "a.h:1: ir.md has no numbered sections: // docs/ir.md §4"
    ]


def test_tidy_looks_at_what_changed(tmp_path, monkeypatch):
    sources = ["a.cc", "b.cc", "c.cc", "d.cc"]

    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *arguments], cwd=tmp_path, check=True)

    def commit(**files):
        for name, text in files.items():
            (tmp_path / name.replace("_", ".")).write_text(text)
        git("add", "-A")
        git("commit", "-qm", "x")

    monkeypatch.setattr(tidy, "ROOT", tmp_path)
    git("init", "-q", "-b", "main")
    commit(a_cc="1", b_cc="1", c_cc="1", c_h="1")
    assert tidy.changed_sources(sources) == []
    commit(b_cc="2")
    assert tidy.changed_sources(sources) == ["b.cc"]
    git("checkout", "-q", "-b", "work")
    commit(a_cc="2")
    commit(c_h="2")
    (tmp_path / "d.cc").write_text("1")
    assert tidy.changed_sources(sources) == ["a.cc", "c.cc", "d.cc"]
