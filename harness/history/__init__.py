# SPDX-License-Identifier: MIT
"""Verdicts, rates and times of past runs: ``record`` keeps them, ``changes`` tells their story."""
