# SPDX-License-Identifier: MIT
"""A program of the NVSHMEM kind, started once a rank: pynvshmem on the host, NVSHMEM's calls in the kernel."""

import pynvshmem
import tilelang
import tilelang.language as T
import torch
from tilelang.distributed import init_distributed

N = 640


@tilelang.jit
def pass_on():
    @T.prim_func
    def main(dst: T.Tensor((N,), "float32"), src: T.Tensor((N,), "float32")):
        with T.Kernel(1, threads=128):
            to = (T.get_pe() + 1) % T.get_pe_num()
            T.putmem_nbi_block(T.address_of(dst[0]), T.address_of(src[0]), N * 4, to)
            T.quiet()

    return main


def main():
    world, rank, _, group = init_distributed(return_tp_group=True)
    pynvshmem.init_nvshmem_by_uniqueid(group)
    assert (pynvshmem.nvshmem_my_pe(), pynvshmem.nvshmem_n_pes()) == (rank, world)
    assert pynvshmem.nvshmem_team_n_pes(pynvshmem.Team.NODE) == world
    src, dst = (pynvshmem.nvshmem_create_tensor((N,), torch.float32) for _ in range(2))
    before, after = (rank - 1) % world, (rank + 1) % world
    every = torch.arange(world * N, dtype=torch.float32, device="cuda").reshape(world, N)
    src.copy_(every[rank])
    pynvshmem.nvshmem_barrier_all()
    pass_on()(dst, src)
    pynvshmem.nvshmemx_barrier_all_on_stream(torch.cuda.current_stream())
    torch.cuda.synchronize()
    assert torch.equal(dst, every[before])

    peers = pynvshmem.nvshmem_create_tensor_list_intra_node((4,), torch.int64)
    assert pynvshmem.nvshmem_ptr(peers[rank], after) == peers[after].data_ptr()
    signal = pynvshmem.nvshmem_create_tensor((1,), torch.uint64)
    inbox = pynvshmem.nvshmem_create_tensor((N,), torch.float32)
    pynvshmem.nvshmem_int64_p(peers[rank][2:], 40 + rank, after)
    for turn, op in enumerate((pynvshmem.Amo.SIGNAL_SET, pynvshmem.Amo.SIGNAL_ADD)):
        pynvshmem.nvshmemx_putmem_signal_on_stream(
            inbox.data_ptr(), src.data_ptr(), N * 4, signal.data_ptr(), 5, op, after, torch.cuda.current_stream()
        )
        pynvshmem.nvshmem_barrier_all()
        assert int(signal.view(torch.int64)[0]) == 5 * (turn + 1)
    assert torch.equal(inbox, every[before]) and peers[rank].tolist() == [0, 0, 40 + before, 0]
    fetched = torch.zeros(N, dtype=torch.float32, device="cuda")
    pynvshmem.nvshmem_getmem(fetched.data_ptr(), src.data_ptr(), N * 4, after)
    assert torch.equal(fetched, every[after])
    at = pynvshmem.nvshmem_malloc(64)
    pynvshmem.nvshmem_free(at)
    print("done", flush=True)


if __name__ == "__main__":
    main()
