# SPDX-License-Identifier: MIT
"""What T.annotate_ws_schedule refuses, exactly."""

import pytest
import tilescale.language as T

ROLES = [T.WSRole("math", warps_lo=0, warps_hi=4), T.WSRole("load", warps_lo=4, warps_hi=8)]
SYNC = T.WSSync
LOAD = [SYNC.producer_acquire("p"), T.WSOpRef("fill"), SYNC.producer_commit("p")]
MATH = [SYNC.consumer_wait("p"), T.WSOpRef("use"), SYNC.consumer_release("p")]


def trace(twice=False, num_warps=8, loop="steps", load=LOAD, math=MATH):
    @T.prim_func
    def main(A: T.Tensor((64, 64), "float16"), C: T.Tensor((64, 64), "float16")):
        with T.Kernel(1, threads=128):
            s = T.alloc_shared((64, 64), "float16")
            schedule = T.WSSchedule(
                num_warps=num_warps,
                roles=ROLES,
                pipelines=[T.WSPipeline("p", [s], 2)],
                scopes=[T.WSScope(loop, {"load": load, "math": math})],
            )
            T.annotate_ws_schedule(schedule)
            if twice:
                T.annotate_ws_schedule(schedule)
            for _k in T.serial(4, annotations={T.WSID: "steps"}):
                with T.ws_op("fill"):
                    T.copy(A, s)
                with T.ws_op("use"):
                    T.copy(s, C)

    return main


CASES = {
    "warps": ({"num_warps": 4}, "role 'load' ends at warp 8 of 4"),
    "twice": ({"twice": True}, "T.annotate_ws_schedule: the kernel has a schedule already"),
    "loop": ({"loop": "other"}, "T.annotate_ws_schedule: no loop of the kernel is named `other`"),
    "op": (
        {"load": [*LOAD, T.WSOpRef("nothing")]},
        "T.annotate_ws_schedule: nothing in the kernel is named `nothing` by T.ws_op",
    ),
    "producer": ({"load": [T.WSOpRef("fill")]}, "T.annotate_ws_schedule: no role acquires pipeline `p`"),
    "consumer": ({"math": [T.WSOpRef("use")]}, "T.annotate_ws_schedule: no role waits for pipeline `p`"),
}


@pytest.mark.parametrize("name", CASES)
def test_text(name):
    change, expected = CASES[name]
    with pytest.raises(ValueError) as error:
        trace(**change)
    assert str(error.value).split("\n")[0] == expected


def test_the_good_one_is_accepted():
    trace()
