# SPDX-License-Identifier: MIT
"""Writes a finding into a directory: the table, a scenario, a script, and how to run it again."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import replace
from pathlib import Path

from harness.explore.explore import Finding
from harness.explore.show import as_scenario, as_script, rows, title
from harness.model.interface import InterfaceVersion
from harness.settings import Settings

__all__ = ["write_finding"]


def write_finding(
    root: Path, finding: Finding, version: InterfaceVersion, settings: Settings, number: int
) -> Path | None:
    """Write the files of a finding below ``root``; returns their directory.

    ``finding.txt`` is the table, ``test_finding.py`` a scenario, ``finding.sh`` a shell script
    (only where the provider behaves ordinarily), ``rerun.txt`` the command that runs the scenario.
    Returns None when the directory cannot be written.
    """
    digest = hashlib.sha256(repr(finding.signature).encode()).hexdigest()[:8]
    directory = root / f"explore_{finding.disagreement.claim}_{number}_{digest}"
    lines = [title(finding), ""]
    lines += [f"{operation}\n    {result}" for operation, result in rows(finding, version)]
    own = replace(settings, claims=(finding.disagreement.claim,))
    scenario = directory / "test_finding.py"
    arguments = [argument for argument in own.pytest_arguments() if "claim" not in argument]
    files = {
        "finding.txt": "\n".join(lines) + "\n",
        "test_finding.py": as_scenario(finding),
        "rerun.txt": shlex.join(["pytest", "-p", "harness.plugin", *arguments, str(scenario)])
        + "\n",
        "finding.sh": as_script(finding, version),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            if text is not None:
                (directory / name).write_text(text, encoding="utf-8")
    except OSError:
        return None
    return directory
