"""`nebula-server` before anything of the server is imported: the client's installation has the command, too."""

from __future__ import annotations

import sys

MISSING = "only the client is installed here; the server's packages are missing"
HOW = "pip install '.[server]' in the checkout installs them, and script/server does it all."


def main() -> int:
    """Run the server's command; say what to install if its packages are not there."""
    try:
        from nebula import command  # here: what is missing is said in a sentence
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "nebula":
            raise
        print(
            f"nebula-server: {MISSING} ({error.name}). {HOW}",
            file=sys.stderr,
        )
        return 1
    return command.main()
