# SPDX-License-Identifier: MIT
"""Commits judged one by one: in a bisection, or as the patches of a series.

``fixup`` makes a change for the time of a judgement, ``judge`` gives a working
tree its verdict, in a process of its own and from a cache of verdicts where it can; ``bisect`` and
``series`` choose the commits.
"""
