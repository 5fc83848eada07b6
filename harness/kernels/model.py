# SPDX-License-Identifier: MIT
"""A kernel that can be booted and built modules for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness.errors import UsageError

__all__ = ["Kernel", "parse_config"]


@dataclass(frozen=True)
class Kernel:
    """What boots: the image, where modules are built against, where its own modules are.

    ``config`` holds the Kconfig symbols that are set, without their prefix; empty when unknown.
    """

    spec: str
    release: str
    image: Path
    build: Path
    modules: Path | None
    config: dict[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def digest(self) -> str:
        """Changes whenever the image or what modules link against changes."""
        digest = hashlib.sha256(self.release.encode())
        for path in (self.image, self.build / "Module.symvers", self.build / ".config"):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    @property
    def version(self) -> tuple[int, int]:
        """The first two numbers of the release; 0 for one that is missing."""
        major, minor, *_ = [*re.findall(r"\d+", self.release.partition("-")[0]), 0, 0]
        return int(major), int(minor)

    def setting(self, symbol: str) -> str:
        """``y``, ``m`` or ``n`` (also when not mentioned)."""
        return self.config.get(symbol, "n")

    def require(self, symbol: str, why: str) -> str:
        """The setting of ``symbol``; raises :class:`UsageError` when it is off."""
        setting = self.setting(symbol)
        if self.config and setting == "n":
            raise UsageError(
                f"kernel {self.release} lacks CONFIG_{symbol}: {why}",
                hint=f"enable CONFIG_{symbol} (y or m) and build it again",
            )
        return setting


def parse_config(text: str) -> dict[str, str]:
    """The symbols set in a ``.config``, without ``CONFIG_``; quotes of strings stay."""
    pairs = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
    return {name.removeprefix("CONFIG_"): value for name, _, value in pairs}
