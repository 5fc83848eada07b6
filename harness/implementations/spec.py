# SPDX-License-Identifier: MIT
"""TSM cores: what a user may write for one, and what is loaded for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError
from harness.implementations.defects import all_defects, defects_of
from harness.kernels.model import Kernel

__all__ = [
    "GUEST_MODULES",
    "Implementation",
    "builds_configfs",
    "kernel_module_name",
    "parse_implementation",
]

_VISIBILITY = (6, 11)  # configfs asks which attributes to show

GUEST_MODULES = "/lib/tsm"
"""Where the image keeps module files."""


@dataclass(frozen=True)
class Implementation:
    """A TSM core: the kernel's own, one of ours with ``defects`` switched on, or a user's."""

    name: str
    kind: Literal["mainline", "class", "configfs", "user"]
    defects: tuple[str, ...] = ()

    def load_plan(self, kernel: Kernel) -> list[tuple[str, str]]:
        """Module files in the guest and their parameters, in the order they are loaded."""
        if self.kind == "configfs":
            _require_room(kernel)
        if self.kind in ("class", "configfs"):
            parameters = f"defects={','.join(self.defects)}" if self.defects else ""
            return [
                (f"{GUEST_MODULES}/tsm-{self.kind}.ko", parameters),
                (f"{GUEST_MODULES}/tsm-sim-{self.kind}.ko", ""),
            ]
        kernel.require("TSM_REPORTS", "the mainline core is not in this kernel")
        own = [(f"{GUEST_MODULES}/{kernel_module_name(kernel)}.ko", "")]
        built_in = kernel.setting("TSM_REPORTS") == "y"
        return [*([] if built_in else own), (f"{GUEST_MODULES}/tsm-sim-mainline.ko", "")]


def builds_configfs(kernel: Kernel) -> bool:
    """Whether our configfs core can be had on ``kernel``, which may have one that stays."""
    return (
        kernel.version >= _VISIBILITY
        and kernel.setting("CONFIGFS_FS") != "n"
        and kernel.setting("TSM_REPORTS") != "y"
    )


def _require_room(kernel: Kernel) -> None:
    kernel.require("CONFIGFS_FS", "the configfs core needs it")
    if not builds_configfs(kernel):
        raise UsageError(
            f"our configfs core cannot be had on {kernel.release}: it needs Linux 6.11, and the "
            "kernel's own core as a module",
            hint="use debian:6.12, or build with CONFIG_SEV_GUEST=m, which makes TSM_REPORTS one",
        )


def kernel_module_name(kernel: Kernel) -> str:
    """The file name of the kernel's own core: it was renamed in 6.16."""
    return "tsm_report" if kernel.version >= (6, 16) else "tsm"


_REFERENCE: dict[str, Literal["mainline", "class", "configfs"]] = {
    "mainline": "mainline",
    "configfs-fixed": "configfs",
    "class-posted": "class",
    "class-fixed": "class",
}

_RENAMED = {
    "as-posted": "class-posted",
    "revised": "class-fixed",
    "corrected": "configfs-fixed",
}
"""Names of earlier versions, each with the one that replaced it."""


def parse_implementation(name: str) -> Implementation:
    """Understand what a user wrote; raises :class:`UsageError` with what is possible."""
    if name in _REFERENCE:
        defects = tuple(defects_of("class")) if name == "class-posted" else ()
        return Implementation(name, _REFERENCE[name], defects)
    if name in _RENAMED:
        raise UsageError(f"{name} was renamed", hint=f"use {_RENAMED[name]}")
    match name.partition(":"):
        case ("defect", ":", defect) if defect in defects_of("class"):
            return Implementation(name, "class", (defect,))
        case ("defect", ":", defect) if defect in defects_of("configfs"):
            return Implementation(name, "configfs", (defect,))
        case ("defect", ":", defect):
            raise UsageError(
                f"no such defect: {defect}", hint=f"there are {', '.join(all_defects())}"
            )
        case ("patch" | "dir", ":", path) if path:
            return Implementation(name, "user")
        case _:
            raise UsageError(
                f"no such implementation: {name}",
                hint=f"use {', '.join(_REFERENCE)}, defect:NAME, patch:FILE or dir:PATH",
            )
