# SPDX-License-Identifier: MIT
"""The claims of the review as data (:mod:`scenarios.claims`), and what decides them."""
