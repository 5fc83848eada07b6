# SPDX-License-Identifier: MIT
"""Reads a matrix file.

TOML, every key with a default::

    kernels = ["debian:6.12", "debian:7.3"]
    tsm = ["class-posted", "class-fixed", "mainline"]
    providers = ["sev-snp", "tdx:version=5"]
    claims = ["R1", ["J1", "J2"]]     # a job each, or together; none: all of them in one job
    seeds = [0]
    pairwise = false                  # true: every pair of values meets, not every combination

    [[exclude]]                       # a combination whose every value is one of these
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
"""What a job has one of, and what the file calls the list of them."""

_DEFAULTS: Mapping[str, list[object]] = {
    "kernels": [DEFAULT_KERNEL],
    "tsm": list(DEFAULT_TSMS),
    "providers": [DEFAULT_PROVIDER],
    "claims": [()],
    "seeds": [0],
}


@dataclass(frozen=True)
class Matrix:
    """The values of each axis by the name a job has for it, and what is left out."""

    axes: Mapping[str, tuple[object, ...]]
    exclude: tuple[Mapping[str, object], ...] = ()
    pairwise: bool = False


def read_matrix(path: Path) -> Matrix:
    """The matrix that ``path`` describes; raises :class:`UsageError` with the place of a mistake.

    What the words mean is checked with the jobs.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    known = {*AXES.values(), "exclude", "pairwise"}
    if strange := sorted(set(data) - known):
        raise UsageError(
            f"{path}: unknown key {strange[0]}", hint=f"there are {', '.join(sorted(known))}"
        )
    pairwise = data.get("pairwise", False)
    if not isinstance(pairwise, bool):
        raise UsageError(f"{path}: pairwise is true or false")
    axes = {name: _axis(path, key, data) for name, key in AXES.items()}
    return Matrix(axes, _excludes(path, data.get("exclude", [])), pairwise)


def _axis(path: Path, key: str, data: Mapping[str, object]) -> tuple[object, ...]:
    values = data.get(key, _DEFAULTS[key])
    if not isinstance(values, list) or not values:
        raise UsageError(f"{path}: {key} is a list of at least one value")
    return tuple(dict.fromkeys(_value(path, key, value) for value in values))


def _value(path: Path, key: str, value: object) -> object:
    if key == "seeds":
        if type(value) is int:
            return value
        raise UsageError(f"{path}: a seed is an integer, not {value!r}")
    if key == "claims":
        together = value if isinstance(value, (list, tuple)) else [value]
        return tuple(str(_value(path, "claim", one)) for one in together)
    if isinstance(value, str) and value:
        return value
    raise UsageError(f"{path}: {key} are texts, not {value!r}")


def _excludes(path: Path, entries: object) -> tuple[Mapping[str, object], ...]:
    if not isinstance(entries, list) or not all(isinstance(one, dict) and one for one in entries):
        raise UsageError(f"{path}: exclude is a list of tables")
    for entry in entries:
        if strange := sorted(set(entry) - set(AXES)):
            raise UsageError(
                f"{path}: exclude has no {strange[0]}", hint=f"there are {', '.join(AXES)}"
            )
        if "claims" in entry:
            entry["claims"] = _value(path, "claims", entry["claims"])
    return tuple(entries)
