# SPDX-License-Identifier: MIT
"""Measurements: each number beside its baseline, taken in the same run on the same machine."""
