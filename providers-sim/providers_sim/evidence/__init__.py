# SPDX-License-Identifier: MIT
"""The simulated TEEs; each module that defines ``PROVIDER`` is registered (see ``registry``)."""
