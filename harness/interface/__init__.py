# SPDX-License-Identifier: MIT
"""The report interface: the files under test, by the names the kernel's documentation uses.

:mod:`find` finds out which interface a guest has (sysfs class or configfs); :mod:`report` is one
caller's view of an entry, :mod:`attribute` one file in it, :mod:`names` the closed set of those
files, :mod:`descriptor` one open file, :mod:`history` what was read and written.
"""
