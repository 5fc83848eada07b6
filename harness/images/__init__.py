# SPDX-License-Identifier: MIT
"""Images: a kernel and the initramfs that a guest boots."""
