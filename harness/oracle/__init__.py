# SPDX-License-Identifier: MIT
"""Decides from recorded data: the kernel log, and the bytes that were read.

``kernel_log`` holds the log of one guest and checks it; ``splats`` finds the splats in it, with
the patterns in ``patterns`` and the records from ``records``. ``content`` compares what was read
with what the provider issued. ``expect`` has what scenarios call. None of them runs a guest.
"""
