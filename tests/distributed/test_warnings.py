# SPDX-License-Identifier: MIT
"""Communication that a kernel starts and does not end: Python warnings, and lines of explain()."""

import warnings

import pytest
import tilescale
import tilescale.language as T


def program(put="put", signal="", wait="", quiet=False):
    @T.prim_func
    def main(A: T.Tensor((64,), "float32"), B: T.Tensor((64,), "float32"), flags: T.Tensor((2,), "int32")):
        with T.Kernel(1, threads=64):
            tx = T.get_thread_binding()
            peer = 1 - T.get_rank()
            if put == "put":
                T.put(A, B, peer=peer)
            elif put == "copy":
                T.copy(A, B, dst_pe=peer)
            elif put == "nbi":
                T.putmem_nbi_block(B, A, 256, peer)
            if quiet:
                T.quiet()
            T.sync_threads()
            if signal in ("relaxed", "release"):
                if tx == 0:
                    T.st(T.address_of(flags[0]), 1, scope="sys", sem=signal, dst_pe=peer)
            elif signal == "fence":
                T.fence_sys()
                if tx == 0:
                    T.st(T.address_of(flags[0]), 1, scope="sys", sem="relaxed", dst_pe=peer)
            elif signal == "notify":
                T.notify(T.signal(flags), peer)
            if wait == "wait":
                T.wait(T.signal(flags))
            elif wait == "element":
                T.wait_ge(flags[0], 1)

    return main


def found(**parts):
    """Warnings, and the lines about waits."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kernel = tilescale.compile(program(**parts), target="sim")
    texts = [str(w.message) for w in caught]
    assert texts == [f"main: {line}" for line in kernel.warnings()]
    _, _, rest = kernel.explain().partition("\nwaits\n")
    for text in texts:
        assert text.partition(": ")[2] in kernel.explain()
    return texts, [x.strip() for x in rest.splitlines()[:1]]


UNPUBLISHED = (
    "nothing in this kernel publishes what it writes to `B` of another rank: T.notify, or a release at system scope "
    "behind it, does"
)


@pytest.mark.parametrize("put", ["put", "copy"])
@pytest.mark.parametrize("parts", [{"signal": "relaxed"}, {"wait": "wait"}, {"wait": "element"}])
def test_a_put_that_nobody_publishes(put, parts):
    (text,), _ = found(put=put, **parts)
    assert text == f"main: line {18 if put == 'put' else 20}  T.{put}: {UNPUBLISHED}"


def test_a_copy_that_nobody_completes():
    (text,), _ = found(put="nbi", signal="notify", wait="wait")
    assert text == (
        "main: line 22  T.put: nothing in this kernel completes the copy of `A`: T.quiet() of the threads that "
        "start it does"
    )


def test_a_wait_for_a_signal_from_elsewhere():
    texts, (note,) = found(put="", wait="wait")
    assert not texts
    assert note.endswith("T.wait: nothing in this kernel raises `flags`: the host or another kernel must")


@pytest.mark.parametrize(
    "parts",
    [
        {},  # the host's barrier publishes
        {"signal": "release"},
        {"signal": "fence"},
        {"signal": "notify", "wait": "wait"},
        {"put": "nbi", "quiet": True, "signal": "relaxed"},
    ],
)
def test_programs_that_are_right(parts):
    assert found(**parts)[0] == []
