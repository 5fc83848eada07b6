# SPDX-License-Identifier: MIT
"""Mail: from the bytes that a user has, an mbox for example, to postings of patches."""
