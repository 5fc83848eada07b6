# SPDX-License-Identifier: MIT
"""Exploration: programs run against the model and a guest together, and what disagrees."""
