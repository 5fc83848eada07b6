# SPDX-License-Identifier: MIT
"""The pages that a browser shows: the run report, and the timeline of one cell.

A page is one file. It loads nothing and runs no script, and its Content-Security-Policy forbids
both. Every text in it may come from a guest, a patch or a mail, and is escaped.
"""
