#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails on an include that layers.toml does not allow."""

import os
import re
import sys

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

from sources import files, read, report

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


class Layers:
    def __init__(self, config: dict):
        self.allow: dict[str, list[str]] = config["allow"]
        self.isolated: dict[str, str] = config["isolated"]

    def layer_of(self, path: str) -> str | None:
        """The longest declared folder that holds `path`."""
        return max((a for a in self.allow if path.startswith(a + "/")), key=len, default=None)

    def is_declared(self, path: str) -> bool:
        tops = {folder.split("/")[0] for folder in self.allow}
        return path.split("/")[0] not in tops or self.layer_of(path) is not None

    def objection(self, path: str, include: str) -> str | None:
        """Why the file `path` may not include `include`, or None."""
        mine, theirs = self.layer_of(path), self.layer_of(include)
        if include.startswith("."):
            return f'write "{include}" from the repository root'
        if mine is None or theirs is None:
            return None
        if mine == theirs:
            return self._sibling_objection(mine, os.path.dirname(path), os.path.dirname(include))
        if theirs in self.allow[mine] or include in self.allow[mine]:
            return None
        return f"{mine} may not include {include}"

    def _sibling_objection(self, layer: str, mine: str, theirs: str) -> str | None:
        shared = self.isolated.get(layer)
        if shared is None or layer in (mine, theirs) or mine == theirs:
            return None
        if theirs == shared or theirs.startswith(shared + "/"):
            return None
        return f"{mine} may not include its sibling {theirs}"


def check(layers: Layers, sources: dict[str, str]) -> list[str]:
    errors = []
    for path, text in sources.items():
        if not layers.is_declared(path):
            errors.append(f"{path}: its folder is not declared in layers.toml")
            continue
        for include in INCLUDE.findall(text):
            objection = layers.objection(path, include)
            if objection:
                errors.append(f"{path}: {objection}")
    return errors


def main() -> int:
    layers = Layers(tomllib.loads(read("layers.toml")))
    tops = tuple({folder.split("/")[0] + "/" for folder in layers.allow})
    # Twins of device headers follow the device's order of folders, not the host's.
    sources = {f: read(f) for f in files(".h", ".cc", under=tops) if "/include/" not in f}
    return report("layers", check(layers, sources))


if __name__ == "__main__":
    sys.exit(main())
