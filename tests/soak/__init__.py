# SPDX-License-Identifier: MIT
"""Repeats runs under faults at random, and counts what must never happen.

``make soak``, or ``python -m tests.soak --minutes 10 --seed 3``. A kind of fault is one function on
a :class:`~tests.soak.trial.Trial`; :mod:`tests.soak.kinds` lists them. Every trial has a directory
of its own and a copy of the cache, so that nothing of the user is touched.
"""
