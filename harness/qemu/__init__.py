# SPDX-License-Identifier: MIT
"""One QEMU process: how it is found, started, controlled and ended."""
