# SPDX-License-Identifier: MIT
"""Jobs on several machines, by way of Dask: the same commands, the same verdicts.

``task`` is what a worker does, a process of its own for each job; ``parcel`` brings its evidence
back; ``engine`` hands out jobs, and hands out once more what ended in ERROR, to another worker;
``results`` keeps verdicts by what they depend on.
"""
