# SPDX-License-Identifier: MIT
"""``python -m harness`` is ``tsm-harness``."""

from __future__ import annotations

import os

__all__ = ["main"]

_NO_VERDICT = 125  # harness.verdict.EXIT_NO_VERDICT, not to be had before it is imported


def main() -> None:
    """Run the command line; an interrupt while it is still being loaded is no traceback either."""
    try:
        from harness.cli import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        os._exit(_NO_VERDICT)  # nothing was started; a second interrupt finds nothing to break


if __name__ == "__main__":
    main()
