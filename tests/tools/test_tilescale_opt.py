# SPDX-License-Identifier: MIT
"""tilescale-opt's command line: what it prints, how it fails, and that no text makes it crash."""

import os
import random
import re
import subprocess
from pathlib import Path

import pytest
import run_golden

ROOT = Path(__file__).resolve().parents[2]
STAGES = ROOT / "tests" / "golden" / "stages"
OPT = Path(os.environ.get("TS_BUILD_DIR") or ROOT / "build" / "dev") / "bin" / "tilescale-opt"
TRACED = STAGES / "quickstart_traced.ir"


def opt(*arguments, text=""):
    return subprocess.run(
        [str(OPT), *map(str, arguments)],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=run_golden.environment(),
    )


def test_reads_a_file_or_standard_input():
    program = TRACED.read_text()
    assert opt(TRACED).stdout == opt(text=program).stdout == program


def test_ranges_of_passes():
    whole = opt("--target", "sm_80", "--run", "..solve-layouts", TRACED).stdout
    assert opt("--target", "sm_80", "--run", "..check,guard-bounds,select-ops..solve-layouts", TRACED).stdout == whole
    mapped = opt("--target", "sm_80", "--stage", "mapped", TRACED).stdout
    assert mapped == opt("--target", "sm_80", "--run", "lower-tile-ops", text=rest(whole)).stdout


def rest(text):
    return opt("--target", "sm_80", "--run", "plan-reductions", text=text).stdout


def test_emits_text_and_times():
    assert "TS_KERNEL(gemm_kernel" in opt("--stage", "machine", "--emit", "cuda", TRACED).stdout
    names = [line.split()[0] for line in opt("--run", "ingest..check", "--emit", "times", TRACED).stdout.splitlines()]
    assert names == ["ingest", "normalise", "check"]
    span = re.compile(r"  @\d+:\d+$", re.M)
    assert span.search(opt(TRACED).stdout)
    assert not span.search(opt("--no-spans", TRACED).stdout)


def test_options_and_variants():
    fast = opt("--stage", "machine", TRACED).stdout
    assert "requires(" in fast
    assert "requires(" not in opt("--stage", "machine", "--general", TRACED).stdout
    assert "index_bitwidth=64" in opt("--options", "tl.config_index_bitwidth=64", TRACED).stdout
    assert "disable_shared_reuse" in opt("--options", "tl.disable_shared_memory_reuse", TRACED).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "error"),
    [
        (["--stage", "later", TRACED], 2, "--stage is tile, mapped or machine, got 'later'"),
        (["--emit", "ptx", TRACED], 2, "--emit is one of ir, cuda, times, got 'ptx'"),
        (["--fast", "1", TRACED], 2, "unknown option '--fast'"),
        (["--run"], 2, "'--run' needs a value"),
        (["--options", "a=b", TRACED], 2, "--options: 'a=b' is no KEY=INTEGER"),
        (["a.ir", "b.ir"], 2, "two files: 'a.ir' and 'b.ir'"),
        (["missing.ir"], 2, "cannot read 'missing.ir'"),
        (["--run", "fuse", TRACED], 1, "no pass is named `fuse`; the passes are ingest, normalise"),
        (
            ["--run", "optimise", TRACED],
            1,
            "pass `optimise` runs on the machine stage, the program is at the tile stage",
        ),
        (["--target", "sm_50", TRACED], 1, "sm_50"),
        (["--options", "tl.colour", TRACED], 1, 'unknown pass config "tl.colour"'),
        (["--emit", "cuda", TRACED], 1, "--emit cuda needs a program at the machine stage, this one is at the tile"),
    ],
)
def test_mistakes(arguments, status, error):
    done = opt(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert error in done.stderr


def test_text_that_breaks_a_rule_of_its_stage():
    done = opt(
        text="func @f(%A: f32[4]) stage machine {\n kernel @k grid(%bx: 1) threads(%tx: 32) {\n fill %A, 0\n }\n}\n"
    )
    assert done.returncode == 1
    assert "the text is no program" in done.stderr
    assert "a tile op" in done.stderr


def garbled(text: str, draw: random.Random) -> str:
    """The text, cut, or with pieces dropped, doubled, exchanged or replaced."""
    words = text.split(" ")
    for _ in range(draw.randint(1, 3)):
        i, j = draw.randrange(len(words)), draw.randrange(len(words))
        kind = draw.randrange(6)
        if kind == 0:
            words = words[: i + 1]
        elif kind == 1:
            del words[i]
            words = words or [""]
        elif kind == 2:
            words.insert(i, words[j])
        elif kind == 3:
            words[i], words[j] = words[j], words[i]
        elif kind == 4:
            words[i] = draw.choice(["-1", "0", "99999999999", "%tx", "}", "{", '"', "none", "f16", "..", "@9"])
        else:
            word = words[i]
            at = draw.randrange(len(word) + 1)
            words[i] = word[:at] + draw.choice("%&{}[]()+*,:0z\x01é") + word[at:]
    return " ".join(words)


@pytest.mark.parametrize("number", range(4))
def test_no_text_makes_it_crash(number):
    """It may find the text right, wrong, or fail a check of its own, but not die."""
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    files = sorted(STAGES.glob("*.ir"))
    for round_ in range(25):
        text = garbled(draw.choice(files).read_text(), draw)
        done = opt("--target", "sm_80", *draw.choice([[], ["--run", ".."], ["--run", "place-memory.."]]), text=text)
        assert done.returncode in (0, 1, 3), f"seed {seed}, round {round_}: {done.returncode}\n{done.stderr}\n{text}"
        if done.returncode == 1:
            assert done.stderr.strip(), f"seed {seed}, round {round_}: no message"
