# SPDX-License-Identifier: MIT
"""Every device function, on every machine there is, against the references of the cases."""

import os
import secrets

import pytest

from tests.conformance import coverage
from tests.conformance.machines import MODULES, cases_of, run

# Fresh inputs each time; a failure prints the seed that repeats them.
SEED = int(os.environ.get("TILESCALE_TEST_SEED") or secrets.randbelow(1 << 30))


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("target", ["sim", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_cases(target, module):
    failures = run(target, cases_of(module, SEED))
    assert not failures, f"TILESCALE_TEST_SEED={SEED}\n" + "\n".join(failures)


def test_every_function_has_a_case():
    covered = set(coverage.covered()) | set(coverage.ELSEWHERE)
    missing = [f"{h}: {n}" for h in coverage.headers() for n in coverage.functions(h) if n not in covered]
    assert not missing


def test_cases_name_existing_functions():
    existing = {n for header in coverage.headers() for n in coverage.functions(header)}
    assert set(coverage.covered()) <= existing
    assert set(coverage.ELSEWHERE) <= existing


TYPES = "tilescale/numeric/types.cuh"


def test_every_function_has_a_twin():
    """The simulator has each device header, and in it each function of that header; those that hold no asm are the
    same file on both sides."""
    own = [h for h in coverage.headers() if h.startswith("tilescale/ptx/") or h in ("tilescale/math.cuh", TYPES)]
    assert set(own) <= set(coverage.headers(coverage.TWINS))
    missing = [
        f"{header}: {name}"
        for header in own
        for name in coverage.functions(header)
        if name != "smem_address" and not coverage.in_twin(header, name)
    ]
    assert not missing


def test_page_is_current():
    assert coverage.PAGE.read_text() == coverage.page(), "run python -m tests.conformance.coverage --write"
