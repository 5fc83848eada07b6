# SPDX-License-Identifier: MIT
"""Run one target under atheris."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["providers_sim", "tsmw", "harness.mail", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS, planted


def main() -> None:
    """Fuzz the target that the first argument names; pass the other arguments to libFuzzer."""
    targets = {**TARGETS, "planted": planted}
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(f"usage: python -m tests.fuzz {{{','.join(TARGETS)}}} [libFuzzer options]")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], targets[sys.argv[1]])
    atheris.Fuzz()


main()
