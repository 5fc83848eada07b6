# SPDX-License-Identifier: MIT
"""Renders the templates beside this module."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.oracle.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render"]

# For each class of tables: the most columns, and the width of the window that they need, in rem.
_WIDTHS: dict[str, tuple[float, int]] = {
    "few": (4, 44),
    "some": (6, 60),
    "many": (9, 76),
    "most": (math.inf, 1000),
}


def render(template: str, **values: object) -> bytes:
    """Return the page; each value is escaped, and shown without control characters."""
    text = _environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace")


@functools.cache
def _environment() -> Environment:
    from jinja2 import (  # noqa: PLC0415 - slow
        Environment,
        PackageLoader,
        StrictUndefined,
    )

    environment = Environment(
        loader=PackageLoader("harness.report.page", "."),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _style(environment)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # Safe: our own file. The policy allows exactly this style sheet, by its digest.
    environment.globals["style"] = Markup(style)
    environment.globals["policy"] = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    environment.globals["width"] = _width
    environment.filters["web"] = _web
    return environment


def _style(environment: Environment) -> str:
    """Return the style sheet: cells of a table are stacked where its columns have no room."""
    loader = environment.loader
    assert loader is not None
    stacked = loader.get_source(environment, "stacked.css")[0]
    parts = [loader.get_source(environment, "style.css")[0]]
    for name, (_, rem) in _WIDTHS.items():
        rules = stacked.replace(".stack", f".stack.{name}")
        parts.append(f"@media (max-width: {rem}rem) {{\n{rules}}}\n")
    return "".join(parts)


def _width(columns: int) -> str:
    """Return the class of a table with this number of columns."""
    return next(name for name, (most, _) in _WIDTHS.items() if columns <= most)


def _shown(value: object) -> object:
    """Return a value as it is shown; text that the templates made themselves stays."""
    return value if isinstance(value, Markup) else printable(str(value))


def _web(link: str) -> str:
    """Return a link to the web; empty for any other, which could run a script."""
    return link if link.startswith(("https://", "http://")) else ""
