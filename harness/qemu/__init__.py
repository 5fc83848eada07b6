# SPDX-License-Identifier: MIT
"""One QEMU process: how it is found, started, controlled and ended.

Reading order: :mod:`emulator` (which QEMU, with which flags), :mod:`rundir` (the directory of a
run, removed also when the harness is killed), :mod:`sockets`, :mod:`qmp` (the monitor),
:mod:`machine` (the process), :mod:`capacity` (how many at the same time).
"""
