# SPDX-License-Identifier: MIT
"""A bundle: all that repeats one FAIL elsewhere, as ``bundle.json`` among its artifacts.

It names the inputs by what they are (kernel release and digest, claim, scenario, core, provider,
seed) and carries what exists nowhere else: the sources of a core that a user brought, in ``core``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from harness.errors import UsageError
from harness.oracle.printable import printable
from harness.verdict import CellResult, headline

__all__ = ["Bundle", "read_bundle", "write_bundle"]

_SCHEMA = 1
_NAME, _CORE = "bundle.json", "core"


@dataclass(frozen=True)
class Bundle:
    """One cell and its outcome; ``kernel`` as it was asked for, ``digest`` what it was."""

    claim: str
    scenario: str
    kernel: str
    release: str
    digest: str
    tsm: str
    provider: str
    seed: int
    smp: int
    memory_mib: int
    status: str
    gist: str
    schema: int = _SCHEMA


def gist(detail: str) -> str:
    """What two outcomes must have in common to be the same: the telling line, without numbers."""
    telling = printable(headline(detail))
    return "".join("#" if char.isdigit() else char for char in telling)


def write_bundle(
    directory: Path,
    result: CellResult,
    *,
    kernel: str,
    digest: str,
    smp: int,
    memory_mib: int,
    core: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the bundle of a result into its artifacts; a full disk leaves it out."""
    cell = result.cell
    bundle = Bundle(
        claim=cell.claim,
        scenario=cell.scenario,
        kernel=kernel,
        release=cell.kernel,
        digest=digest,
        tsm=f"dir:{_CORE}" if core else cell.tsm,
        provider=cell.provider,
        seed=cell.seed,
        smp=smp,
        memory_mib=memory_mib,
        status=result.status.value,
        gist=gist(result.detail),
    )
    try:
        for name, text in core:
            target = directory / _CORE / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        text = json.dumps(asdict(bundle), indent=1)
        (directory / _NAME).write_text(f"{text}\n", encoding="ascii")
    except OSError:
        return  # the verdict stands without it


def read_bundle(path: Path) -> Bundle:
    """Read a bundle, or the directory that has it; raises :class:`UsageError` when it is none."""
    file = path / _NAME if path.is_dir() else path
    try:
        data = json.loads(file.read_bytes())
        kinds = {item.name: {"int": int, "str": str}[str(item.type)] for item in fields(Bundle)}
        good = data.keys() == kinds.keys() and data["schema"] == _SCHEMA
        if not good or any(type(data[name]) is not kind for name, kind in kinds.items()):
            raise ValueError("it lacks members, or has others")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is no bundle: {error}") from error
    bundle = Bundle(**data)
    if bundle.tsm == f"dir:{_CORE}":
        return Bundle(**{**data, "tsm": f"dir:{file.parent / _CORE}"})
    return bundle
