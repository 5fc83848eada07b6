# SPDX-License-Identifier: MIT
"""``python -m harness`` is ``tsm-harness``."""

from __future__ import annotations

from harness.cli import main

if __name__ == "__main__":
    main()
