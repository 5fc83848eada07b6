# SPDX-License-Identifier: MIT
"""The files a TSM core offers, under the names of its interface.

:func:`~harness.interface.find.find_interface` asks the guest which interface it has; a
:class:`~harness.interface.report.Report` is one caller's view of it.
"""
