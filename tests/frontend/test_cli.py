# SPDX-License-Identifier: MIT
"""The command `tilescale`: its help, its version, and what it does not know."""

import pytest
import tilescale
from tilescale import cli

USAGE = """\
usage: tilescale run [--target sim|cuda] [--ranks N] [--once] [-m module | script.py] arguments…
       tilescale --version
       tilescale --help
"""


def test_help_and_version(capsys):
    cli.main(["--help"])
    assert capsys.readouterr().out == USAGE
    cli.main(["--version"])
    assert capsys.readouterr().out == f"tilescale {tilescale.__version__}\n"


@pytest.mark.parametrize(
    "given, text",
    [
        ([], USAGE),
        (["run"], USAGE),
        (["rnu", "x.py"], "tilescale: unknown command 'rnu'; the one there is: run\n" + USAGE),
        (["run", "none.py"], "tilescale run: no such file: none.py\n"),
    ],
)
def test_mistakes(given, text):
    with pytest.raises(SystemExit) as error:
        cli.main(given)
    assert error.value.code == text.removesuffix("\n")
