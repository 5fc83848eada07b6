# SPDX-License-Identifier: MIT
"""The file formats of a run report: each module here that ends in ``_format``.

Such a module has ``FORMAT``, from which the options of the command line are derived. A library
that takes long to import is imported when the format is used.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from harness.report.format import Format

__all__ = ["formats"]

_SUFFIX = "_format"


@cache
def formats() -> tuple[Format, ...]:
    """Return every format, sorted by name."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return tuple(
        import_module(f"{__name__}.{name}").FORMAT for name in names if name.endswith(_SUFFIX)
    )
