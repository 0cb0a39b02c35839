# SPDX-License-Identifier: MIT
"""Random tile programs: generated from a seed, compiled, and run against the sequential oracle."""
