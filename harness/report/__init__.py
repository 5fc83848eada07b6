# SPDX-License-Identifier: MIT
"""Run reports and evidence: the table on the terminal, files in several formats, timelines.

Everything here takes a :class:`harness.verdict.RunResult` or its parts, and knows neither pytest
nor guests.
"""
