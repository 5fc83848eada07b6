# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of the code that parses untrusted bytes.

``python -m tests.fuzz TARGET [libFuzzer options]`` runs one target of ``targets``; the options
``-runs=N`` and ``-max_total_time=SECONDS`` limit it, and a directory is its corpus.
"""
