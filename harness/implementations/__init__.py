# SPDX-License-Identifier: MIT
"""Implementations of the report interface: what a user may name, and how each is built."""
