# SPDX-License-Identifier: MIT
"""Virtual machines: from an image to a frozen template, from a template to a clone.

Reading order: :mod:`emulator` (which QEMU, which flags), :mod:`rundir` (where a run keeps its
sockets, and who removes them), :mod:`sockets`, :mod:`machine` (one QEMU process), :mod:`qmp`
(its monitor), :mod:`template` (freeze and restore).
"""
