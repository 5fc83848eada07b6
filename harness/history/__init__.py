# SPDX-License-Identifier: MIT
"""Past runs: :mod:`database` stores their verdicts, :mod:`changes` finds where these changed."""
