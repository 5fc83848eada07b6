# SPDX-License-Identifier: MIT
"""An executable model of the report interface, from its documentation and its review.

The model knows no implementation and no guest. For each operation it gives the set of outcomes
that are allowed: ``docs/model.md`` lists what is demanded, what is free, and why.
"""
