# SPDX-License-Identifier: MIT
"""The claims of the review as data (:mod:`scenarios.claims`), and the scenarios that decide them."""
