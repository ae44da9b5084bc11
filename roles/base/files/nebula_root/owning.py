"""`python3 -m nebula_root.owning DIRECTORY` makes root the owner of a finished release. Nobody else can change it."""

from __future__ import annotations

import sys
from pathlib import Path

from nebula_root import handles


def main(argv: list[str] | None = None) -> int:
    """Hand the directory over; return the exit status."""
    (release,) = sys.argv[1:] if argv is None else argv
    try:
        handles.hand_over(Path(release), 0, 0)
    except OSError as error:
        print(f"build-release: {error.filename}: {error.strerror}. A release cannot have that.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
