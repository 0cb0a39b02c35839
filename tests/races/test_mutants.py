# SPDX-License-Identifier: MIT
"""Every sixteenth seeded fault of the examples under two seeds, and whether the tables of docs/simulator.md are of the
faults that the compiler makes. `./dev mutants` runs them all."""

import json
import subprocess
import sys
from pathlib import Path

import mutants
import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> str:
    command = [sys.executable, str(ROOT / "tests" / "mutants.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=mutants.environment())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(900)
def test_a_sample_is_noticed():
    assert " 0 problems" in run("--stride", "16", "--seeds", "2")


def test_tables_are_not_stale():
    documented = mutants.documented((ROOT / "docs" / "simulator.md").read_text())
    assert documented == json.loads(run("--list")), "./dev mutants rewrites docs/simulator.md"
    assert documented["all"] >= 60


def outcome(*said: str) -> mutants.Outcome:
    return mutants.Outcome("gemm", 0, 0, "dropped fence", "call fence", "T.fence()", list(said))


def test_what_is_not_noticed_fails():
    assert mutants.complaints([outcome("", "")], [], 1) == [
        "gemm fault 0, dropped fence: T.fence() | call fence: not noticed at any seed"
    ]
    assert mutants.complaints([outcome("", "DataRace")], [], 1) == []
    assert "killed by signal 11" in mutants.complaints([outcome("killed by signal 11")], [], 1)[0]


def test_a_stale_excuse_fails(monkeypatch):
    entry = {"programs": ["gemm"], "faults": ["dropped fence"], "source": "T.", "statement": "call", "reason": "why"}
    monkeypatch.setattr(mutants, "harmless", lambda: [entry])
    assert mutants.complaints([outcome("", "")], ["gemm"], 1) == []
    assert mutants.complaints([outcome("DataRace", "")], ["gemm"], 1) == [
        "tests/mutants_harmless.toml: nothing of gemm is left over for: why"
    ]
