# SPDX-License-Identifier: MIT
"""The files a TSM core offers, under the names of its interface.

:func:`~harness.surfaces.find.find_surface` asks the guest which surface it has; a
:class:`~harness.surfaces.report.Report` is one caller's view of it.
"""
