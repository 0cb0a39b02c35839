# SPDX-License-Identifier: MIT
"""Starts the processes of a program: one a rank, and on the simulator the one whose machine they share."""

import ast
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from .. import knobs

_GRACE_S = 5.0  # for ranks to end by themselves once one has failed


def starts_its_ranks(program: str, module: bool) -> bool:
    """Whether a program starts processes itself: torchrun, or a script that calls multiprocessing."""
    if module:
        return program in ("torch.distributed.run", "torch.distributed.launch")
    try:
        tree = ast.parse(Path(program).read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return False  # running it says what is wrong
    imports = False
    starts = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= any("multiprocessing" in a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports |= "multiprocessing" in (node.module or "") or any(a.name == "multiprocessing" for a in node.names)
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            starts |= name in ("spawn", "start_processes", "Process")
        if isinstance(node, ast.Attribute) and node.attr == "multiprocessing":
            imports = True
    return imports and starts


def serve(address: str) -> None:
    """The process of the simulated machine: says "ready", serves until its standard input ends."""
    from .._ffi import function
    from .._jit import machine

    machine.configure()

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    function("sim.serve")(address, lambda: print("ready", flush=True))


@contextlib.contextmanager
def machine() -> Iterator[None]:
    """A machine process, whose address this process and its children find in the environment."""
    with tempfile.TemporaryDirectory(prefix="tilescale-") as folder:
        address = f"unix:{folder}/machine"
        command = [
            sys.executable,
            "-c",
            f"from tilescale.distributed.launcher import serve; serve({address!r})",
        ]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert process.stdin is not None and process.stdout is not None
        try:
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("the process of the simulated machine did not start; its own output says why")
            with knobs.variables(TILESCALE_SIM_MACHINE=address):
                yield
        finally:
            process.stdin.close()
            process.wait(timeout=30)


def no_machine() -> contextlib.AbstractContextManager[None]:
    """On GPUs ranks need none."""
    return contextlib.nullcontext()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _require_free(port: int) -> None:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            sys.exit(f"tilescale run: port {port} is in use; choose another with MASTER_PORT, or leave it unset")


def _how(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _end(running: dict[int, subprocess.Popen[bytes]]) -> None:
    """Gives the other ranks time to end by themselves, then ends them."""
    deadline = time.monotonic() + _GRACE_S
    while running and time.monotonic() < deadline:
        for rank in [r for r, p in running.items() if p.poll() is not None]:
            del running[rank]
        time.sleep(0.05)
    for process in running.values():
        process.kill()
        process.wait()


def run_ranks(command: list[str], ranks: int) -> int:
    """Runs a command once a rank, with the variables that torchrun sets. The exit code of the first that fails, which
    ends the others, too."""
    port = knobs.rank_of_environment("MASTER_PORT", 0)
    if port:
        _require_free(port)
    else:
        port = free_port()
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        for rank in range(ranks):
            more = {
                "RANK": rank,
                "LOCAL_RANK": rank,
                "WORLD_SIZE": ranks,
                "LOCAL_WORLD_SIZE": ranks,
                "MASTER_ADDR": knobs.master_address(),
                "MASTER_PORT": port,
            }
            running[rank] = subprocess.Popen(
                command, env=knobs.environment(**{name: str(value) for name, value in more.items()})
            )
        while running:
            for rank, process in list(running.items()):
                code = process.poll()
                if code is None:
                    continue
                del running[rank]
                if code:
                    print(f"tilescale run: rank {rank} of {ranks} {_how(code)}", file=sys.stderr, flush=True)
                    _end(running)
                    return code if code > 0 else 128 - code
            time.sleep(0.02)
    except BaseException:
        for process in running.values():
            process.kill()
        raise
    return 0
