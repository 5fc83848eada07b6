# SPDX-License-Identifier: MIT
"""A bundle: what is needed to repeat one FAIL elsewhere, as ``bundle.json`` among its artifacts.

It names the cell, the guest, the kernel (by release and digest) and the outcome. It carries the
sources of an implementation that a user supplied, in the directory ``core``, since they may exist
nowhere else.

A bundle may be a stranger's. It has no links, its size is limited, and it chooses no path of this
host: neither that of a kernel nor that of an implementation.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.detectors import SANITIZERS
from harness.errors import UsageError
from harness.implementations.core import CORE_DIRECTORY
from harness.implementations.spec import reference_names
from harness.kernels.spec import kernel_names
from harness.oracle.printable import printable
from harness.settings import Settings
from harness.verdict import Cause, CellResult, headline

__all__ = [
    "Bundle",
    "Outcome",
    "read_bundle",
    "read_member",
    "write_bundle",
]

_SCHEMA = 2
_FILE, _SOURCES = "bundle.json", "core"
_MAX_FILE = 1 << 20
_MAX_SOURCES = 2000  # files and directories
_MAX_SOURCE_BYTES = 32 << 20
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


def read_bundle(path: Path, *, kernel: str | None = None, tsm: str | None = None) -> Bundle:
    """Read a bundle file, or that of a directory; raises :class:`UsageError` when it is none.

    ``kernel`` and ``tsm`` are the user's, instead of those that the bundle names.
    """
    file = path / _FILE if path.is_dir() else path
    try:
        bundle = _parse(json.loads(read_member(file, _MAX_FILE)))
        _check_sources(file.parent / _SOURCES)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a bundle: {error}",
            hint="name the directory that a run recorded for a FAIL, or the bundle.json in it",
        ) from error
    kernels = _kernels(bundle.settings) if kernel is None else (kernel,)
    tsms = _tsms(bundle.settings, file.parent) if tsm is None else (tsm,)
    return replace(bundle, settings=replace(bundle.settings, kernels=kernels, tsms=tsms))


def _kernels(settings: Settings) -> tuple[str, ...]:
    """The kernels of a bundle; raises :class:`UsageError` for one that is not a package.

    A build tree has a Makefile, which would run here, so only the user names the path of one.
    """
    for name in settings.kernels:
        base, *sanitizers = name.split("+")
        if base not in kernel_names() or not set(sanitizers) <= set(SANITIZERS):
            raise UsageError(
                f"the bundle names the kernel {name[:200]!r}, which is not a package: a bundle "
                "does not choose what is built on this host",
                hint="if you trust that kernel, name it with --kernel",
            )
    return settings.kernels


def _tsms(settings: Settings, directory: Path) -> tuple[str, ...]:
    """The implementations of a bundle, which are ours or in its ``directory``."""
    if settings.tsms in ((_TREE,), (_DIRECTORY,)):
        kind = settings.tsms[0].partition(":")[0]
        return (f"{kind}:{directory / _SOURCES}",)
    for name in settings.tsms:
        if name not in reference_names() and not name.startswith("defect:"):
            raise UsageError(
                f"the bundle names the implementation {name[:200]!r}, which is not part of it",
                hint="if you trust that implementation, name it with --tsm",
            )
    return settings.tsms


def read_member(path: Path, most_bytes: int) -> bytes:
    """Read a regular file of a bundle; raises :class:`ValueError` for a link or a larger file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path.name} is no regular file")
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError(f"{path.name} has more than {most_bytes} bytes")
    return data


def _check_sources(directory: Path) -> None:
    """Raise :class:`ValueError` unless the sources are a bounded tree of regular files."""
    if directory.is_symlink():
        raise ValueError(f"{_SOURCES} is a link")
    files = size = 0
    for parent, directories, names in os.walk(directory):
        for name in (*directories, *names):
            path = Path(parent, name)
            status = path.lstat()
            if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
                raise ValueError(f"{path.relative_to(directory.parent)} is no regular file")
            files, size = files + 1, size + status.st_size
            if files > _MAX_SOURCES or size > _MAX_SOURCE_BYTES:
                raise ValueError(
                    f"{_SOURCES} has more than {_MAX_SOURCES} files or {_MAX_SOURCE_BYTES} bytes"
                )


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
