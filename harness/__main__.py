# SPDX-License-Identifier: MIT
"""``python -m harness`` is ``tsm-harness``."""

from __future__ import annotations

import os

__all__ = ["main"]

_NO_VERDICT = 125  # harness.verdict.EXIT_NO_VERDICT, which is not imported yet


def main() -> None:
    """Run the command line; an interrupt during its import ends it without a traceback."""
    try:
        from harness.cli import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        os.write(2, b"tsm-harness: interrupted\n")
        os._exit(_NO_VERDICT)  # nothing was started yet


if __name__ == "__main__":
    main()
