# SPDX-License-Identifier: MIT
"""What TILESCALE_WATCHDOG costs: each kernel with and without it in one process, interleaved. Bar: 1 %. Round trips of
8 bytes and a signal are nothing but waits; the collectives are what programs do. Needs two GPUs and torch."""

import argparse
from collections.abc import Callable
from typing import Any

import collectives
import measure
import p2p

BAR = 1.01
SIZES = [1 << 14, 1 << 20, 1 << 26]


def each_way(make: Callable[[], Callable[[], None]]) -> dict[str, Callable[[], None]]:
    """The call twice, compiled and loaded without and with a watchdog."""
    from tilescale import knobs

    calls = {}
    for name, limit in (("off", ""), ("on", "5s")):
        with knobs.variables(TILESCALE_WATCHDOG=limit):
            calls[name] = make()
            calls[name]()
    return calls


def compare(name: str, calls: dict[str, Callable[[], None]], rounds: int, launches: int) -> None:
    times = measure.interleaved({k: lambda c=c: p2p.timed(c, launches) for k, c in calls.items()}, rounds)
    off, on = (measure.median(times[k]) * 1e3 for k in ("off", "on"))
    print(
        f"{name:28} off {off:9.2f} us  on {on:9.2f} us  {on / off:.4f}  {measure.verdict(on / off, BAR, at_most=True)}"
    )


def main() -> None:
    import torch
    from tilescale.distributed import World

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    print(measure.header("cost of the watchdog, 2 GPUs", torch.cuda.get_device_name(0)))
    with World(2) as w:

        def trips() -> Callable[[], None]:
            A, B, flags = w.tensor(2), w.tensor(2), w.tensor(1, "uint32")
            kernel, done = p2p.tripper(None), [0]

            def call() -> None:
                w.launch(kernel, A, B, flags, done[0], p2p.TRIPS)
                done[0] += p2p.TRIPS

            return call

        compare("1000 round trips", each_way(trips), args.rounds, 1)
        for operation in ("all-gather", "reduce-scatter", "all-reduce"):
            for size in SIZES:
                case: Callable[[], Any] = lambda o=operation, s=size: collectives.Case(w, o, s).call  # type: ignore[misc]
                compare(f"{operation} of {size} bytes", each_way(case), args.rounds, 20)
        w.barrier()


if __name__ == "__main__":
    main()
