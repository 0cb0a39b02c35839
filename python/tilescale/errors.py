# SPDX-License-Identifier: MIT
"""Exceptions of the package. Errors raised in C++ by one of these names arrive as these classes."""


class CompileError(ValueError):
    """A program that cannot be compiled. The text names the user's line."""


class ExpressionSizeError(CompileError):
    """One expression of more operations than the compiler takes, where it cannot be evaluated in parts."""


class InternalError(RuntimeError):
    """A fault of ours, not of the program."""


class CudaError(RuntimeError):
    """A call of the CUDA driver failed."""


class NvrtcError(RuntimeError):
    """NVRTC is missing, or refused the generated text."""


class BootstrapError(RuntimeError):
    """Ranks could not find each other."""


class TimeoutError(RuntimeError):
    """A device or a peer did not answer in time."""


class JITNoBuilderError(RuntimeError):
    """Kernel code was asked for outside a function that is being traced."""


class SourceError(OSError):
    """The source text of a function that must be traced cannot be found."""


REGISTERED = (
    CompileError,
    ExpressionSizeError,
    InternalError,
    CudaError,
    NvrtcError,
    BootstrapError,
    TimeoutError,
    JITNoBuilderError,
)
