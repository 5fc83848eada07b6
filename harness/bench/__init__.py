# SPDX-License-Identifier: MIT
"""The measurements of ``bench``, and the same with virtme-ng for comparison."""
