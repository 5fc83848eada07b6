# SPDX-License-Identifier: MIT
"""Verdicts on commits: for a bisection, or for each patch of a series.

:mod:`verdicts` decides claims on a working tree and caches the result, :mod:`fixup` applies a
patch to the tree meanwhile; :mod:`bisect` and :mod:`series` choose the commits.
"""
