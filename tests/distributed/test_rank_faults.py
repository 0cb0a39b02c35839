# SPDX-License-Identifier: MIT
"""Mistakes in the programs of examples/distributed: the simulator notices them. `./dev mutants` runs all of them."""

import pytest
import rank_faults
from rank_faults import FAULTS, judge

ONE_OF_EACH = list({fault.kind: fault for fault in FAULTS}.values())


def test_every_fault_changes_one_place_of_its_program():
    assert len(FAULTS) == len(set(FAULTS)) >= 60
    for fault in FAULTS:
        text = fault.text()
        assert text != fault.file().read_text()
        if not fault.header:
            compile(text, fault.program, "exec")


def test_a_place_that_is_gone_is_an_error():
    with pytest.raises(ValueError, match=r"broadcast\.py has 0 places like: T\.nothing"):
        rank_faults.drop("broadcast", "missing wait", "T.nothing").text()


@pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: fault.kind)
def test_one_fault_of_each_kind_is_noticed(fault):
    assert any(any(judge(fault, [seed])) for seed in range(rank_faults.MOST_SEEDS)), fault


@pytest.mark.slow
@pytest.mark.parametrize("program", rank_faults.CALLS)
def test_programs_without_a_fault_are_not_accused(program, seeds):
    ranks = 4 if program == "cannon" else 2
    text = rank_faults.file(program).read_text()
    assert not any(rank_faults.run(program, text, ranks, seeds))
