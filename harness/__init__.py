# SPDX-License-Identifier: MIT
"""Boots real kernels, simulates a TSM, and decides what reviewers of its interface demanded.

The line through the folders: :mod:`harness.kernels` and :mod:`harness.images` make an image,
:mod:`harness.vm` and :mod:`harness.guest` make a template of it and clones of that,
:mod:`harness.interface` are the files a scenario drives, :mod:`harness.oracle` looks at what
happened, :mod:`harness.plugin` gives the verdict and :mod:`harness.report` shows it.
"""
