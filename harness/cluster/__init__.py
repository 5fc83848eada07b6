# SPDX-License-Identifier: MIT
"""Jobs on several machines, through Dask.

:mod:`task` is what a worker executes: a child process for each job. :mod:`archive` carries its
evidence, :mod:`engine` submits jobs, and submits them again to another worker after an ERROR,
:mod:`verdicts` merges the results, and :mod:`job_cache` keeps the results of decided jobs.
"""
