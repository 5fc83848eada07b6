# SPDX-License-Identifier: MIT
"""Renders the templates beside this module."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING

from markupsafe import Markup

from harness.oracle.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["render"]

_STEPS = (30, 40, 50, 60, 70, 78, 1000)
"""Widths of the window, in rem, below which the tables that need so much are stacked.

A page is at most 78 rem wide: a table that needs more is always stacked.
"""

_PAPER = 50
"""A printed page has room for this: its text is smaller."""


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
    environment.globals["stacked_below"] = _stacked_below
    environment.filters["web"] = _web
    return environment


def _style(environment: Environment) -> str:
    """Return the style sheet: cells of a table are stacked where its columns have no room."""
    loader = environment.loader
    assert loader is not None
    stacked = loader.get_source(environment, "stacked.css")[0]
    parts = [loader.get_source(environment, "style.css")[0]]
    for step in _STEPS:
        rules = stacked.replace(".stack", f".below{step}")
        medium = "screen and " if step <= _PAPER else ""
        parts.append(f"@media {medium}(max-width: {step}rem) {{\n{rules}}}\n")
    return "".join(parts)


def _stacked_below(rem: float) -> str:
    """Return the class of a table that needs this width."""
    return f"below{next(step for step in _STEPS if rem <= step or step == _STEPS[-1])}"


def _shown(value: object) -> object:
    """Return a value as it is shown; text that the templates made themselves stays."""
    return value if isinstance(value, Markup) else printable(str(value))


def _web(link: str) -> str:
    """Return a link to the web; empty for any other, which could run a script."""
    return link if link.startswith(("https://", "http://")) else ""
