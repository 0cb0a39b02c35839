# SPDX-License-Identifier: MIT
"""The executable definition of layouts, hardware rules and the solver: what the C++ is compared with."""
