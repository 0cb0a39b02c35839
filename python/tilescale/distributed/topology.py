# SPDX-License-Identifier: MIT
"""What the GPUs of this host can do with each other's memory. Simulated ones all reach each other."""

import shutil
import subprocess
from typing import Any

from ..targets import Target


def _on_sim() -> bool:
    return str(Target(None)) == "sim"


def can_access_peer(device: int, peer: int) -> bool:
    """Whether `device` can load and store `peer`'s memory."""
    if _on_sim():
        return True
    import torch

    return device == peer or bool(torch.cuda.can_device_access_peer(device, peer))


def supports_p2p_native_atomic() -> bool:
    """Whether atomics between every pair of GPUs are done by the memory, not by software."""
    if _on_sim():
        return True
    return has_fullmesh_nvlink()


def _links() -> list[list[str]]:
    """The connections of each GPU as `nvidia-smi topo -m` names them: NV18, PIX, SYS, X for itself."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    text = subprocess.run([tool, "topo", "-m"], capture_output=True, encoding="utf-8", check=False).stdout
    rows = [line.replace("\x1b[4m", "").replace("\x1b[0m", "").split() for line in text.splitlines()]
    rows = [row for row in rows if row and row[0].startswith("GPU") and row[0][3:].isdigit() and len(row) > 1]
    rows = [row for row in rows if not row[1].startswith("GPU")]  # the heading
    return [row[1 : 1 + len(rows)] for row in rows]


def has_fullmesh_nvlink() -> bool:
    """Whether every pair of GPUs is connected by NVLink."""
    if _on_sim():
        return True
    links = _links()
    return bool(links) and all(x == "X" or x.startswith("NV") for row in links for x in row)


has_fullmesh_nvlink_pynvml: Any = has_fullmesh_nvlink
