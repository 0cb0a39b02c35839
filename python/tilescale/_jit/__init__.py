# SPDX-License-Identifier: MIT
"""From traced functions to callable kernels. Not named `jit`: `tilescale.jit` is the decorator."""
