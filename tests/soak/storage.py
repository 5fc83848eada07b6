# SPDX-License-Identifier: MIT
"""Full disks, damaged cache entries, and several runs with one cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.soak.trial import WORKLOAD, Trial

__all__ = ["DISKS", "STORAGE"]

_KINDS = ("modules", "agent", "initramfs", "template", "ssh", "pki")  # made again without network


def _mount(trial: Trial, where: Path, limit: str) -> None:
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", limit, "tmpfs", str(where)], check=True)
    trial.on_close.callback(subprocess.run, ["umount", "-l", str(where)], check=True)


def _full_cache(trial: Trial) -> None:
    size = trial.random.choice((1, 8, 40, 120, 300))
    _mount(trial, trial.root / "cache", f"size={size}m")
    shared = f"--shared-cache={trial.bench.cache}"
    trial.finish(trial.start(*WORKLOAD, shared, cache=trial.root / "cache"))


def _full_temporary_directory(trial: Trial) -> None:
    # Few inodes: Python uses another directory if it cannot write a test file.
    _mount(trial, trial.root / "tmp", f"nr_inodes={trial.random.randint(3, 60)}")
    trial.finish(trial.start())


def _full_results(trial: Trial) -> None:
    _mount(trial, trial.results, f"size={trial.random.randint(1, 60) * 4}k")
    trial.finish(trial.start())
    trial.settle()
    subprocess.run(["mount", "-o", "remount,size=64m", str(trial.results)], check=True)
    trial.resume()


def _damaged_entry(trial: Trial) -> None:
    files = [path for kind in _KINDS for path in sorted((trial.bench.cache / kind).rglob("*"))]
    file = trial.random.choice([path for path in files if path.is_file() and not path.is_symlink()])
    _CHANGES[change := trial.random.choice(sorted(_CHANGES))](file)
    trial.finish(trial.start())
    if trial.row.errors:  # which damage costs a verdict is worth knowing
        trial.row.errors[f"after: {change}, {file.relative_to(trial.bench.cache).parts[0]}"] += 1


def _flip(file: Path) -> None:
    before = file.stat()
    with file.open("r+b") as stream:
        stream.seek(before.st_size // 2)
        byte = stream.read(1) or b"\0"
        stream.seek(before.st_size // 2)
        stream.write(bytes([byte[0] ^ 4]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _become_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


_CHANGES: dict[str, Callable[[Path], object]] = {
    "bit flipped": _flip,
    "cut": lambda file: os.truncate(file, file.stat().st_size // 3),
    "emptied": lambda file: os.truncate(file, 0),
    "missing": Path.unlink,
    "directory": _become_directory,
    "unreadable": lambda file: file.chmod(0),
}


def _several_runs(trial: Trial) -> None:
    if trial.random.random() < 0.5:
        shutil.rmtree(trial.bench.cache / "template", ignore_errors=True)
    others = [Trial(trial.bench, trial.root / name, name) for name in ("first", "second")]
    runs = [(each, each.start()) for each in others]
    for each, run in runs:
        each.finish(run)
        each.close()
        each.row.tries = 0
        trial.row.add(each.row)


DISKS: dict[str, Callable[[Trial], None]] = {
    "full disk: cache": _full_cache,
    "full disk: TMPDIR": _full_temporary_directory,
    "full disk: results, --resume": _full_results,
}
STORAGE: dict[str, Callable[[Trial], None]] = {
    "damaged cache entry": _damaged_entry,
    "two runs, one cache": _several_runs,
}
