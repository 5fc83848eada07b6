# SPDX-License-Identifier: MIT
"""Reads a matrix file.

It is TOML, and every key has a default::

    kernels = ["debian:6.12", "debian:7.3"]
    tsm = ["class-posted", "class-fixed", "mainline"]
    providers = ["sev-snp", "tdx:version=5"]
    claims = ["R1", ["J1", "J2"]]     # a job for R1, another for J1 and J2; default: one for all
    seeds = [0]
    pairwise = false                  # true: few jobs, in which every pair of values occurs

    [[exclude]]                       # leaves out the jobs that have all of these values
    kernel = "debian:7.3"
    tsm = "class-posted"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.settings import DEFAULT_KERNEL, DEFAULT_PROVIDER, DEFAULT_TSMS

__all__ = ["AXES", "Matrix", "read_matrix"]

AXES = {
    "kernel": "kernels",
    "tsm": "tsm",
    "provider": "providers",
    "claims": "claims",
    "seed": "seeds",
}
"""For each field of a job, the key of the list of its values."""

_DEFAULTS: Mapping[str, list[object]] = {
    "kernels": [DEFAULT_KERNEL],
    "tsm": list(DEFAULT_TSMS),
    "providers": [DEFAULT_PROVIDER],
    "claims": [()],
    "seeds": [0],
}


@dataclass(frozen=True)
class Matrix:
    """The values of each field of a job, and the combinations that are left out."""

    axes: Mapping[str, tuple[object, ...]]
    exclude: tuple[Mapping[str, object], ...] = ()
    pairwise: bool = False


def read_matrix(path: Path) -> Matrix:
    """Read a matrix file; raises :class:`UsageError` for a key or a type that is wrong.

    The values are checked when the jobs are made.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read the matrix file {path}: {error.strerror}", hint="give another file"
        ) from error
    except (ValueError, RecursionError) as error:  # ValueError also for a very long number
        raise UsageError(f"{path} is not TOML: {error}", hint=_HINT) from error
    known = {*AXES.values(), "exclude", "pairwise"}
    if unknown := sorted(set(data) - known):
        raise UsageError(
            f"{path}: unknown key {unknown[0]}", hint=f"known keys: {', '.join(sorted(known))}"
        )
    pairwise = data.get("pairwise", False)
    if not isinstance(pairwise, bool):
        raise UsageError(f"{path}: pairwise is {pairwise!r}", hint="write true or false")
    axes = {name: _axis(path, key, data) for name, key in AXES.items()}
    return Matrix(axes, _excludes(path, data.get("exclude", [])), pairwise)


_HINT = "`tsm-harness matrix --help` describes the file"


def _axis(path: Path, key: str, data: Mapping[str, object]) -> tuple[object, ...]:
    values = data.get(key, _DEFAULTS[key])
    if not isinstance(values, list) or not values:
        raise UsageError(f"{path}: {key} is {values!r}", hint="write a list of at least one value")
    return tuple(dict.fromkeys(_value(path, key, value) for value in values))


def _value(path: Path, key: str, value: object) -> object:
    if key == "seeds":
        if type(value) is int:
            return value
        raise UsageError(f"{path}: the seed {value!r} is not an integer", hint="write seeds = [0]")
    if key == "claims":
        together = value if isinstance(value, (list, tuple)) else [value]
        return tuple(str(_value(path, "claim", claim)) for claim in together)
    if isinstance(value, str) and value:
        return value
    raise UsageError(f"{path}: {key} has {value!r}, which is not a text", hint=_HINT)


def _excludes(path: Path, entries: object) -> tuple[Mapping[str, object], ...]:
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and entry for entry in entries
    ):
        raise UsageError(
            f"{path}: exclude is not a list of tables", hint="write [[exclude]] and values below"
        )
    for entry in entries:
        if unknown := sorted(set(entry) - set(AXES)):
            raise UsageError(
                f"{path}: unknown key {unknown[0]} in [[exclude]]",
                hint=f"known keys: {', '.join(AXES)}",
            )
        if "claims" in entry:
            entry["claims"] = _value(path, "claims", entry["claims"])
    return tuple(entries)
