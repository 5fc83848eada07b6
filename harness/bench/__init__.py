# SPDX-License-Identifier: MIT
"""Measurements of the command ``bench``, and a boot with virtme-ng as a baseline."""
