# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of the code that parses untrusted bytes.

``python -m tests.fuzz TARGET [libFuzzer options]`` runs a target of ``targets``. The options
``-runs=N`` and ``-max_total_time=SECONDS`` limit the run; a directory argument is the corpus.
"""
