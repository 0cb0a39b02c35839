# SPDX-License-Identifier: MIT
"""How an error is shown: the user's frames only, and up to three of their lines as notes, innermost first."""

import linecache
import re
import types
from typing import TypeVar

from .. import knobs
from ..errors import InternalError
from .tracer import is_own_file

MAX_LINES = 3
_E = TypeVar("_E", bound=BaseException)
_ENGINE_SOURCES = (".cc", ".h", ".pxi", ".c")
# What the compiler appends to a message, one line a place: "  --> kernels.py:77 in main".
_PLACE = re.compile(r"\n  --> (?P<file>[^\n]*):(?P<line>\d+)(?: in (?P<function>[^\n]*))?")


def during_trace(error: _E) -> _E:
    """An error of the user's program while it is traced: the live frames know the lines."""
    frames, tb = [], error.__traceback__
    while tb is not None:
        frames.append(tb)
        tb = tb.tb_next
    user = [f for f in frames if _is_user_file(f.tb_frame.f_code.co_filename)]
    if not user:
        return error
    if not getattr(error, "_is_located", False):
        _take_places(error)
        named = [f for f in reversed(user) if not f.tb_frame.f_code.co_name.startswith("<")]
        places = ((f.tb_frame.f_code.co_filename, f.tb_lineno, f.tb_frame.f_code.co_name) for f in named)
        _add_notes(error, [_note(*place) for place in places][:MAX_LINES])
    hide_own_frames(error)
    return error


def hide_own_frames(error: BaseException) -> None:
    """Leaves the user's frames in the traceback. For the outermost of our frames, which then says `raise`: that adds
    no frame (from Python 3.11 on)."""
    if knobs.full_traceback() or isinstance(error, InternalError):
        return
    user, tb = [], error.__traceback__
    while tb is not None:
        if _is_user_file(tb.tb_frame.f_code.co_filename):
            user.append(tb)
        tb = tb.tb_next
    kept = None
    for f in reversed(user):
        kept = types.TracebackType(kept, f.tb_frame, f.tb_lasti, f.tb_lineno)
    error.__traceback__ = kept


def after_trace(error: _E) -> _E:
    """An error of a later pass: the places are in its text, the lines are added."""
    places = _take_places(error)
    _add_notes(error, [_note(*place) for place in places[:MAX_LINES]])
    return error


def _is_user_file(file: str) -> bool:
    return not is_own_file[file] and not file.endswith(_ENGINE_SOURCES)


def _take_places(error: BaseException) -> list[tuple[str, int, str]]:
    """Removes the places from the message and returns them."""
    if not error.args or not isinstance(error.args[0], str):
        return []
    message = error.args[0]
    places = [(m["file"], int(m["line"]), m["function"] or "") for m in _PLACE.finditer(message)]
    if places:
        error.args = (_PLACE.sub("", message), *error.args[1:])
    return places


def _note(file: str, line: int, function: str) -> str:
    source = linecache.getline(file, line).strip()
    where = f" in {function}" if function else ""
    return f"  --> {file}:{line}{where}" + (f"\n      {source}" if source else "")


def _add_notes(error: BaseException, notes: list[str]) -> None:
    if not notes:
        return
    error._is_located = True  # type: ignore[attr-defined]
    if hasattr(error, "add_note"):
        for note in notes:
            error.add_note(note)
    elif error.args and isinstance(error.args[0], str):  # Python 3.10 has no notes
        error.args = ("\n".join([error.args[0], *notes]), *error.args[1:])
