# SPDX-License-Identifier: MIT
"""Found first on the module path of a child of `tilescale run`: puts the alias in place, then imports it."""

import importlib
import sys

from tilescale.compat import install

del sys.modules[__name__]
install()
importlib.import_module(__name__)
