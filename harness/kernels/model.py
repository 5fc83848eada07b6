# SPDX-License-Identifier: MIT
"""A kernel that can be booted and that modules can be built for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness.errors import UsageError

__all__ = ["Kernel", "parse_config"]

_SET = re.compile(r"CONFIG_(\w+)=(.*)")
_NOT_SET = re.compile(r"# CONFIG_(\w+) is not set")


@dataclass(frozen=True)
class Kernel:
    """A kernel image, the build tree for modules, and the directory of the kernel's own modules.

    ``modules`` is None where the kernel's own modules are not available. ``config`` are the Kconfig
    symbols without their prefix; empty when unknown.
    """

    spec: str
    release: str
    image: Path
    build: Path
    modules: Path | None
    config: dict[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the release, the image, and the build tree's configuration and symbols."""
        digest = hashlib.sha256(self.release.encode())
        for path in (self.image, self.build / "Module.symvers", self.build / ".config"):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    @property
    def version(self) -> tuple[int, int]:
        """The first two numbers of the release; a missing number is 0."""
        major, minor, *_ = [*re.findall(r"\d+", self.release.partition("-")[0]), 0, 0]
        return int(major), int(minor)

    def setting(self, symbol: str) -> str:
        """The value of a symbol; ``n`` when the configuration does not have it."""
        return self.config.get(symbol, "n")

    def require(self, symbol: str, reason: str) -> None:
        """Raise :class:`UsageError` with ``reason`` when ``symbol`` is known to be off."""
        if self.config and self.setting(symbol) == "n":
            raise UsageError(
                f"kernel {self.release} lacks CONFIG_{symbol}: {reason}",
                hint=f"enable CONFIG_{symbol} (y or m) and build the kernel again",
            )


def parse_config(text: str) -> dict[str, str]:
    """Parse a ``.config`` or a fragment: symbols without ``CONFIG_``, ``n`` for "is not set".

    Quotes of strings are kept.
    """
    config: dict[str, str] = {}
    for line in text.splitlines():
        if found := _SET.fullmatch(line):
            config[found[1]] = found[2]
        elif found := _NOT_SET.fullmatch(line):
            config[found[1]] = "n"
    return config
