# SPDX-License-Identifier: MIT
"""What the compiler inserts around T.notify and T.wait, as explain() lists it: a barrier where the whole block must
have moved its part, or must learn of the signal, and nothing where the program has one."""

import inspect

import pytest
import tilescale
import tilescale.language as T

N = 65536


def program(form, before, behind):
    @T.prim_func
    def main(
        A: T.Tensor((N,), "uint8"),
        B: T.Tensor((N,), "uint8"),
        C: T.Tensor((N,), "uint8"),
        flags: T.Tensor((1,), "int32"),
    ):
        with T.Kernel(1, threads=128):
            come = T.signal(flags)
            peer = 1 - T.get_rank()
            if form == "tile":
                T.put(A, B, peer=peer)
            elif form == "bulk":
                T.put_block(T.address_of(A[0]), T.address_of(B[0]), N, peer)
            if before:
                T.sync_threads()
            if form == "with a signal":
                T.put(A, B, peer=peer, signal=come)
            else:
                T.notify(come, peer)
            T.wait(come)
            if behind:
                T.sync_threads()
            if form != "nothing moved":
                T.copy(B, C)

    return main


FIRST = inspect.getsourcelines(program)[1]
SOURCE = inspect.getsource(program).splitlines()


def line(text):
    """Where the program says it."""
    return FIRST + next(i for i, x in enumerate(SOURCE) if text in x)


# By form and what stands before it: what is inserted in front of the signal.
RELEASED = {
    "tile": "memory A: block barrier between line {T.put(A, B, peer=peer)} (read) and line {T.notify(} (release)",
    "bulk": "memory B: block barrier between line {T.put_block(} (write) and line {T.notify(} (release)",
    "with a signal": "memory A: block barrier between line {signal=come} (read) and line {signal=come} (release)",
}
ACQUIRED = "memory flags: block barrier between line {T.wait(} (acquire) and line {T.copy(B, C)} (read)"


def filled(text):
    head, *places = text.split("{")
    return head + "".join(str(line(p.split("}")[0])) + p.split("}")[1] for p in places)


@pytest.mark.parametrize("behind", [False, True], ids=["", "barrier behind"])
@pytest.mark.parametrize("before", [False, True], ids=["", "barrier before"])
@pytest.mark.parametrize("form", [*RELEASED, "nothing moved"])
def test_the_minimum_is_inserted(form, before, behind):
    kernel = tilescale.compile(program(form, before, behind), target="sim sm_90a")
    want = []
    if form == "with a signal" or (form in RELEASED and not before):  # a barrier before the put does not order it
        want.append(filled(RELEASED[form]))
    if form in RELEASED and not behind:
        want.append(filled(ACQUIRED))
    text = kernel.explain().split("\nvariant 1")[0]
    section = text.split("\nsynchronisation\n")[1] if want else ""
    listed = [x.split("  ", 2)[2] for x in section.splitlines() if x.startswith("  line")]
    assert [x for x in listed if "barrier between" in x] == want
    assert ("barrier between" in text) == bool(want)
    source = kernel.get_kernel_source()
    assert source.count("ts::cta_sync()") == len(want) + before + behind
    assert "fence" not in source  # the release and the acquire are enough
