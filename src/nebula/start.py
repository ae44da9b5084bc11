"""The entry point of `nebula-server`, which runs before anything of the server is imported.

An installation of only the client has the command, too.
"""

from __future__ import annotations

import sys

MISSING = "only the client is installed here; the server's packages are missing"
HOW = "pip install '.[server]' in the checkout installs them, and script/server does it all."

missing = ""
try:
    from nebula import command
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] == "nebula":
        raise
    missing = error.name


def main() -> int:
    """Run the server's command, or say what to install if its packages are missing."""
    if missing:
        print(f"nebula-server: {MISSING} ({missing}). {HOW}", file=sys.stderr)
        return 1
    return command.main()
