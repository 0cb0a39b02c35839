# SPDX-License-Identifier: MIT
"""Programs of fixed seeds: lowered and verified after every pass, a tenth compiled by NVRTC and by a second process, a
twentieth run on the simulator against the oracle."""

from pathlib import Path

import pytest

from tests.conformance import nvrtc
from tests.fuzzing import campaign, check, generate
from tests.fuzzing.program import Program

CHUNKS = 8
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "simulator.md"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_fixed_seeds(chunk):
    size = campaign.FIXED // CHUNKS
    jobs = [campaign.fixed_job(seed) for seed in range(chunk * size, (chunk + 1) * size)]
    if nvrtc.library() is None:
        jobs = [campaign.replace(job, text=False) for job in jobs]
    results = list(campaign.run(jobs))
    checked = [job for job in jobs if job.seed % 10 == 3]
    failures = [r for r in results if r.kind]
    failures += campaign.differing(checked, [r for r in results if r.seed % 10 == 3])
    assert len(results) == size
    assert not failures, campaign.report(failures)


def test_the_table_in_the_documentation_is_fresh():
    table = campaign.table_of(DOCUMENT.read_text())
    assert table[: len(campaign.fixed_table())] == campaign.fixed_table(), "stale: run ./dev fuzz 60"


def test_a_seed_gives_one_program():
    for seed in range(20):
        assert generate.generate(seed) == generate.generate(seed)


BROKEN = """\
@T.prim_func
def fuzz_1(O2: T.Tensor((8,), "float32")):
    with T.Kernel(1, threads=32):
        f1 = T.alloc_fragment((8,), "float32")
        f3 = T.alloc_fragment((8,), "float32")
        T.clear(f3)
        T.clear(f1)
        {}
        T.copy(f1, O2)
"""


def broken(statement: str) -> Program:
    argument = campaign.generate.Argument("O2", "float32", (8,), 0, 3, True, True)
    return Program(1, BROKEN.format(statement), "fuzz_1", [argument])


def test_failures_are_found_and_minimised(tmp_path, monkeypatch):
    """A refused program, and an oracle that disagrees."""
    monkeypatch.setattr(campaign, "REPLAYS", tmp_path / "fuzz")
    monkeypatch.setattr(campaign, "ROOT", tmp_path)
    job = campaign.Job(1, run=True)
    p = broken("T.copy(f1[0:3], f3[0:5])")
    with pytest.raises(check.Failure) as refused:
        campaign.check_program(p, job)
    assert refused.value.kind == "refused"
    small = campaign.minimise(p, job, refused.value)
    assert "T.clear" not in small.text and "T.copy(f1[0:3], f3[0:5])" in small.text

    from tilescale import testing

    monkeypatch.setattr(testing, "evaluate", lambda func, *args: args[0].fill_(7.0))
    with pytest.raises(check.Failure) as wrong:
        campaign.check_program(broken("T.fill(f1, 2.0)"), job)
    assert wrong.value.kind == "wrong result"
    assert "O2[0] is 2.0, expected 7.0; 8 of 8 elements differ" in wrong.value.text
    replay = Path(campaign.write_replay(broken("T.fill(f1, 2.0)"), job, wrong.value))
    compile(replay.read_text(), str(replay), "exec")


def test_a_crash_is_a_failure_of_the_program_that_ran(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "REPLAYS", tmp_path / "fuzz")
    worker = tmp_path / "tests" / "fuzz.py"
    worker.parent.mkdir()
    worker.write_text(
        "import json, os, sys\n"
        "for line in sys.stdin:\n"
        "    job = json.loads(line)\n"
        "    if job['seed'] == 2: os.abort()\n"
        "    print(json.dumps({'seed': job['seed']}), flush=True)\n"
    )
    monkeypatch.setattr(campaign, "ROOT", tmp_path)
    results = list(campaign.run([campaign.Job(seed, legal=True) for seed in (1, 2, 3)]))
    assert [(r.seed, r.kind) for r in results] == [(1, ""), (2, "crash"), (3, "")]
