# SPDX-License-Identifier: MIT
"""`import tilescale.language as T`: the names of the dialect, made on first use (dialect.py, table.txt, dtypes).

No code lives here: the names of the dialect (int, float, max, print, …) would shadow the builtins it uses.
"""

import tilescale.language._facade as _facade

__tilelang_dialect__ = "cuda"
__getattr__ = _facade.find
__dir__ = _facade.names
