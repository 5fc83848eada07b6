# SPDX-License-Identifier: MIT
"""The simulated TEEs; a module that defines ``PROVIDER`` adds one (see ``registry``)."""
