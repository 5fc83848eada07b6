# SPDX-License-Identifier: MIT
"""Jobs over kernels, implementations, providers, claims and seeds, described in a matrix file.

:mod:`file` reads the file, :mod:`jobs` makes the jobs, all or pairwise, and :mod:`ci` formats
them for continuous integration systems.
"""
