# SPDX-License-Identifier: MIT
"""Implementations of the report interface: the kernel's own, ours, and those of users.

``spec`` parses a name and returns an object with the protocol of ``model``: ``mainline``, ``own``
or ``user``. Its ``build`` returns the modules to load into a guest.
"""
