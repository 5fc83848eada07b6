# SPDX-License-Identifier: MIT
"""Templates: the files of a guest that was frozen at its ready point.

A template is a directory with two files and a manifest. ``memory`` is the guest's memory, which
clones map copy-on-write. ``state`` is the state of its devices, about 0.3 MB. The manifest has
their sizes and digests, and the round trip to the guest when it was frozen. A template that
differs from its manifest is not used.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.cache.seal import digest_sparse, extents
from harness.errors import BuildError, HostError
from harness.qemu.emulator import Emulator
from harness.timeouts import Timeouts
from harness.vm.clone import SavedGuest

__all__ = ["Template", "copy_sparse", "seal"]

_SCHEMA = 2


@dataclass(frozen=True)
class Manifest:
    """The content of ``manifest.json``; ``ping_s`` is the round trip to the frozen guest."""

    schema: int
    emulator: str
    memory_bytes: int
    memory_digest: str
    state_digest: str
    ping_s: float


@dataclass(frozen=True)
class Template:
    """A frozen guest in ``directory``, made by ``emulator``."""

    directory: Path
    emulator: Emulator
    ping_s: float

    @property
    def memory(self) -> Path:
        """The memory file that clones map copy-on-write."""
        return self.directory / "memory"

    @property
    def state(self) -> Path:
        """The device state that clones load."""
        return self.directory / "state"

    @property
    def saved(self) -> SavedGuest:
        """The frozen guest, for :func:`harness.vm.clone.restore`; its ports had no host."""
        return SavedGuest(self.memory, self.state, Timeouts.calibrated(self.ping_s))

    @classmethod
    def load(cls, directory: Path, emulator: Emulator, *, verify: bool) -> Template:
        """Read a template; raises :class:`BuildError` when it is damaged or of another emulator.

        ``verify`` also compares the digest of the memory with the manifest. A process whose parent
        has just verified the template omits that.
        """
        try:
            manifest = Manifest(**json.loads((directory / "manifest.json").read_bytes()))
            template = cls(directory, emulator, manifest.ping_s)
            good = (
                manifest.schema == _SCHEMA
                and isinstance(manifest.ping_s, float)
                and manifest.emulator == emulator.identity()
                and template.memory.stat().st_size == manifest.memory_bytes
                and hashlib.sha256(template.state.read_bytes()).hexdigest() == manifest.state_digest
                and (not verify or digest_sparse(template.memory) == manifest.memory_digest)
            )
        except (OSError, ValueError, TypeError) as error:
            raise BuildError(f"the template in {directory} is damaged: {error}") from error
        if not good:
            raise BuildError(
                f"the template in {directory} is damaged, or was made by another emulator"
            )
        return template


def seal(directory: Path, emulator: Emulator, ping_s: float) -> None:
    """Write the manifest for the memory and state files in ``directory``."""
    memory, state = directory / "memory", directory / "state"
    manifest = Manifest(
        _SCHEMA,
        emulator.identity(),
        memory.stat().st_size,
        digest_sparse(memory),
        hashlib.sha256(state.read_bytes()).hexdigest(),
        ping_s,
    )
    (directory / "manifest.json").write_text(json.dumps(asdict(manifest)), encoding="ascii")


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a memory file and keep its holes; raises :class:`HostError` on a full disk."""
    try:
        with source.open("rb") as reading, target.open("xb") as writing:
            size = source.stat().st_size
            writing.truncate(size)
            for start, end in extents(reading.fileno(), size):
                offset = start
                while offset < end:
                    copied = os.copy_file_range(
                        reading.fileno(), writing.fileno(), end - offset, offset, offset
                    )
                    if copied == 0:
                        raise BuildError(f"{source} shrank while it was copied")
                    offset += copied
    except OSError as error:
        raise HostError(
            f"cannot copy a template's memory to {target}: {error.strerror}",
            hint="free some space in the cache directory (`tsm-harness images prune`)",
        ) from error
