# SPDX-License-Identifier: MIT
"""TSM cores: what a user may write for one, and what is loaded for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError
from harness.kernels.model import Kernel

__all__ = ["DEFECTS", "GUEST_MODULES", "CoreSpec", "parse_core"]

GUEST_MODULES = "/lib/tsm"
"""Where the image keeps module files."""

DEFECTS = {
    "double-free": "R1",
    "reader-race": "J1",
    "same-value": "T1",
    "prefix-match": "P1",
    "stale-tail": "T3",
    "second-register": "T4",
    "privlevel-unbounded": "K3",
    "hex-input": "K1",
    "unregister-deadlock": "P4",
    "state-survives": "P6",
    "torn-report": "P7",
    "unlocked-show": "P8",
    "null-report": "P12",
    "dynamic-class": "K4",
}
"""The switches of the sysfs-class core, each with the claim it breaks; the C table's twin.

Their order is that of the bits of ``TSM_DEFECTS``.
"""


@dataclass(frozen=True)
class CoreSpec:
    """A TSM core: the kernel's own, our sysfs class with ``defects`` switched on, or a user's."""

    name: str
    kind: Literal["mainline", "class", "user"]
    defects: tuple[str, ...] = ()

    def load_plan(self, kernel: Kernel) -> list[tuple[str, str]]:
        """Module files in the guest and their parameters, in the order they are loaded."""
        if self.kind == "class":
            parameters = f"defects={','.join(self.defects)}" if self.defects else ""
            return [
                (f"{GUEST_MODULES}/tsm-class.ko", parameters),
                (f"{GUEST_MODULES}/tsm-sim-class.ko", ""),
            ]
        kernel.require("TSM_REPORTS", "the mainline core is not in this kernel")
        own = [(f"{GUEST_MODULES}/{core_module(kernel)}.ko", "")]
        built_in = kernel.setting("TSM_REPORTS") == "y"
        return [*([] if built_in else own), (f"{GUEST_MODULES}/tsm-sim-mainline.ko", "")]


def core_module(kernel: Kernel) -> str:
    """The file name of the kernel's own core: it was renamed in 6.16."""
    return "tsm_report" if kernel.version >= (6, 16) else "tsm"


def parse_core(name: str) -> CoreSpec:
    """Understand what a user wrote; raises :class:`UsageError` with what is possible."""
    match name.partition(":"):
        case ("mainline", "", ""):
            return CoreSpec(name, "mainline")
        case ("revised", "", ""):
            return CoreSpec(name, "class")
        case ("as-posted", "", ""):
            return CoreSpec(name, "class", tuple(DEFECTS))
        case ("defect", ":", defect) if defect in DEFECTS:
            return CoreSpec(name, "class", (defect,))
        case ("defect", ":", defect):
            raise UsageError(f"no such defect: {defect}", hint=f"there are {', '.join(DEFECTS)}")
        case ("patch" | "dir", ":", path) if path:
            return CoreSpec(name, "user")
        case _:
            raise UsageError(
                f"no such TSM core: {name}",
                hint="use mainline, as-posted, revised, defect:NAME, patch:FILE or dir:PATH",
            )
