# SPDX-License-Identifier: MIT
"""A matrix of kernels, cores, providers, claims and seeds, described in one file.

``file`` reads it, ``jobs`` makes the jobs of it, whole or pairwise, ``ci`` writes them down as
continuous integration systems want their dynamic matrices.
"""
