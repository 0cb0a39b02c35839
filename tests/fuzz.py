# SPDX-License-Identifier: MIT
"""`./dev fuzz SECONDS`: programs of fresh seeds, until the time is over; then the table in docs/simulator.md.
`./dev fuzz --seed N [--legal | --illegal]` prints one program and checks it."""

import argparse
import collections
import datetime
import os
import random
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python"), str(ROOT)]
os.environ.setdefault("TILESCALE_VERIFY", "1")
os.environ.setdefault("TILESCALE_SIM_STRICT_STORES", "1")

from tests.fuzzing import campaign, check, generate  # noqa: E402

DOCUMENT = ROOT / "docs" / "simulator.md"
BATCH = 40  # programs that a process gets at a time


def fresh_job(seed: int) -> campaign.Job:
    """Every second program is run, one in eight compiled; those are legal ones."""
    run, text = seed % 2 == 0, seed % 8 == 1
    return campaign.Job(seed, text, run, True if run or text else None)


class Campaign:
    """Threads that feed one process each."""

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.rng = random.SystemRandom()
        self.counts: collections.Counter[str] = collections.Counter()
        self.failures: list[campaign.Result] = []
        self.lock = threading.Lock()

    def feed(self) -> None:
        while time.monotonic() < self.deadline:
            jobs = [fresh_job(self.rng.randrange(1 << 40)) for _ in range(BATCH)]
            results = list(campaign.run(jobs))
            checked = [job for job in jobs if job.text]
            results += campaign.differing(checked, [r for r in results if r.seed in {job.seed for job in checked}])
            with self.lock:
                self.counts["programs"] += len(jobs)
                self.counts["text"] += sum(job.text for job in jobs)
                self.counts["run"] += sum(job.run for job in jobs)
                for r in results:
                    if r.kind:
                        self.failures.append(r)
                        print(campaign.report([r]) + "\n", flush=True)

    def run(self) -> None:
        threads = [threading.Thread(target=self.feed) for _ in range(os.cpu_count() or 1)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


def write_table(c: Campaign, seconds: float) -> None:
    kinds = collections.Counter(r.kind for r in c.failures)
    found = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())) or "none"
    fresh = [
        "",
        "| fresh seeds | |",
        "|---|---|",
        f"| date, seconds | {datetime.date.today()}, {seconds:.0f} |",
        f"| programs | {c.counts['programs']} |",
        f"| text compiled by NVRTC, and twice to the same bytes | {c.counts['text']} |",
        f"| run on the simulator against the oracle | {c.counts['run']} |",
        f"| failures | {found} |",
    ]
    document = DOCUMENT.read_text()
    head, tail = document.split(campaign.BEGIN)[0], document.split(campaign.END)[1]
    table = "\n".join([*campaign.fixed_table(), *fresh])
    DOCUMENT.write_text(f"{head}{campaign.BEGIN}\n{table}\n{campaign.END}{tail}")


def one(seed: int, legal: bool | None) -> int:
    p = generate.generate(seed, legal)
    print(p.text)
    try:
        campaign.check_program(p, campaign.Job(seed, True, True, legal))
    except check.Failure as failure:
        print(failure)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev fuzz")
    parser.add_argument("seconds", nargs="?", type=float, default=60)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--legal", action="store_true")
    parser.add_argument("--illegal", action="store_true")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        campaign.work()
        return 0
    if args.seed is not None:
        return one(args.seed, True if args.legal else False if args.illegal else None)
    c = Campaign(args.seconds)
    c.run()
    write_table(c, args.seconds)
    counts = ", ".join(f"{n} {what}" for what, n in sorted(c.counts.items()))
    print(f"{counts}: {len(c.failures)} failures")
    return 1 if c.failures else 0


if __name__ == "__main__":
    sys.exit(main())
