# SPDX-License-Identifier: MIT
"""How a person or a program gets into a guest: :mod:`ssh`, and the serial :mod:`console`.

:mod:`streams` forwards a command's streams, :mod:`terminal` has the keys and modes of this
process's terminal.
"""
