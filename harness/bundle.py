# SPDX-License-Identifier: MIT
"""A bundle: what is needed to repeat one FAIL elsewhere, as ``bundle.json`` among its artifacts.

It names the cell, the guest, the kernel (by release and digest) and the outcome. It carries the
sources of an implementation that a user supplied, in the directory ``core``, since they may exist
nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.implementations.core import CORE_DIRECTORY
from harness.oracle.printable import printable
from harness.settings import Settings
from harness.verdict import Cause, CellResult, headline

__all__ = ["Bundle", "Outcome", "read_bundle", "write_bundle"]

_SCHEMA = 2
_FILE, _SOURCES = "bundle.json", "core"
_TREE = f"tree:{_SOURCES}"  # sources in the layout of a kernel tree
_DIRECTORY = f"dir:{_SOURCES}"


@dataclass(frozen=True)
class Outcome:
    """What was observed; ``release`` and ``digest`` identify the kernel that ran.

    Two outcomes are the same if ``status`` and ``cause`` are equal; ``headline`` is for people.
    """

    scenario: str
    release: str
    digest: str
    status: str
    headline: str
    cause: Cause

    @classmethod
    def of(cls, result: CellResult, release: str, digest: str) -> Outcome:
        """Make the outcome of a result on the kernel with ``release`` and ``digest``."""
        line = printable(headline(result.detail))
        cause, status = result.cause or Cause(""), result.status.value
        return cls(result.cell.scenario, release, digest, status, line, cause)

    def same_as(self, other: Outcome) -> bool:
        """Whether both show the same problem."""
        return (self.status, self.cause) == (other.status, other.cause)


@dataclass(frozen=True)
class Bundle:
    """The settings of one cell, and its outcome."""

    settings: Settings
    outcome: Outcome


def write_bundle(directory: Path, bundle: Bundle, sources: Sequence[tuple[str, str]] = ()) -> None:
    """Write a bundle, and the ``sources`` (name and text) of a user's implementation.

    A file that cannot be written is left out: the verdict does not depend on it.
    """
    settings = bundle.settings
    if sources:
        in_tree = any(name.startswith(f"{CORE_DIRECTORY}/") for name, _ in sources)
        settings = replace(settings, tsms=(_TREE if in_tree else _DIRECTORY,))
    document = settings.recorded() | asdict(bundle.outcome) | {"schema": _SCHEMA}
    try:
        for name, text in sources:
            target = directory / _SOURCES / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        text = json.dumps(document, indent=1)
        (directory / _FILE).write_text(f"{text}\n", encoding="ascii")
    except OSError:
        return


def read_bundle(path: Path) -> Bundle:
    """Read a bundle file, or that of a directory; raises :class:`UsageError` when it is none."""
    file = path / _FILE if path.is_dir() else path
    try:
        bundle = _parse(json.loads(file.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a bundle: {error}",
            hint="name the directory that a run recorded for a FAIL, or the bundle.json in it",
        ) from error
    if bundle.settings.tsms in ((_TREE,), (_DIRECTORY,)):
        kind = bundle.settings.tsms[0].partition(":")[0]
        own = (f"{kind}:{file.parent / _SOURCES}",)
        return replace(bundle, settings=replace(bundle.settings, tsms=own))
    return bundle


def _parse(document: Any) -> Bundle:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    values = dict(document)
    schema = values.pop("schema", None)
    if schema != _SCHEMA:
        raise ValueError(f"its schema is {schema!r}, not {_SCHEMA}")
    observed = {name: values.pop(name, None) for name in Outcome.__dataclass_fields__}
    cause = observed.pop("cause")
    for name, value in observed.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} is not a text")
    return Bundle(Settings.from_recorded(values), Outcome(**observed, cause=_parse_cause(cause)))


def _parse_cause(value: Any) -> Cause:  # noqa: ANN401 - whatever JSON holds
    match value:
        case {
            "kind": str(kind),
            "subject": str(subject),
            "function": str(function),
            "line": int(line),
            **rest,
        } if not rest:
            return Cause(kind, subject, function, line)
    raise ValueError("cause has missing, unknown or wrong members")
