# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of everything that reads a stranger's bytes.

``python -m tests.fuzz TARGET [libFuzzer options]`` runs one target of ``targets`` until it is
told to stop: ``-runs=N``, ``-max_total_time=SECONDS``, a corpus directory, as libFuzzer has them.
"""
