# SPDX-License-Identifier: MIT
"""Floods from the guest, and faults of providers."""

from __future__ import annotations

from collections.abc import Callable

from providers_sim import ProviderError
from tests.fake_guest import Rig
from tests.processes import Run
from tests.soak.trial import Trial
from tests.test_user_implementation import copy_class
from tsmw.constants import MAGIC, FrameType
from tsmw.frame import Frame, encode_frame

__all__ = ["GUESTS"]

_SHOW = 'return sysfs_emit(buf, "%lu\\n", tsm_class_state.generation);'
_FLOOD = """for (int line = 0; line < {lines}; line++)
		pr_info("flood %0100d\\n", line);
	"""
_STATUS = 7  # of a command in the guest
_NONE = 125  # of `exec` without an answer of the guest

# What a reader of outblob gets: the message of its errno, or nothing.
_FAULTS = {
    "sev-snp snp-vmm-error": "Input/output error",
    "sev-snp snp-bad-message": "Bad message",
    "sev-snp snp-sequence-exhausted": "Input/output error",
    "sev-snp snp-invalid-parameter": "Invalid argument",
    "sev-snp snp-firmware-error": "No such device or address",
    "sev-snp snp-report-too-large": "Cannot allocate memory",
    "sev-snp snp-throttled": "",
    "sev-snp snp-certs-garbage": "",
    "tdx tdx-in-flight": "Input/output error",
    "tdx tdx-too-long": "File too large",
    "tdx tdx-slow": "",
    "tdx tdx-stale-quote": "",
    "cove cove-busy": "Device or resource busy",
    "cove cove-invalid-address": "Bad address",
    "cove cove-wrong-signer": "",
    "arm-cca cca-init-refused": "Invalid argument",
    "arm-cca cca-continue-failed": "No such device or address",
    "arm-cca cca-debug-lifecycle": "",
}
_READ = (
    "cd /sys/kernel/config/tsm/report && mkdir a && head -c 64 /dev/zero > a/inblob"
    " && cat a/outblob > /dev/null"
)


def _kernel_log(trial: Trial) -> None:
    """Decide claims on an implementation that prints at each read of `generation`."""
    flood = _FLOOD.format(lines=trial.random.choice((100, 3000, 60000)))
    directory = copy_class(trial.root / "flood", changes={_SHOW: flood + _SHOW})
    trial.known = {
        (claim, scenario, "dir"): status
        for (claim, scenario, tsm), status in trial.known.items()
        if tsm == "class-fixed"
    }
    trial.finish(trial.start("run", "T1", "T3", "K3", f"--tsm=dir:{directory}"))


def _exec(trial: Trial, *arguments: str, status: int, text: str = "") -> None:
    """Run a command in a guest whose exit status and output are known."""
    run = Run(trial.root, trial.bench.cache, *arguments, workers=0)
    if (found := trial.wait(run)) is None:
        return
    trial.row.verdicts += found != _NONE
    if found == _NONE:
        trial.row.errors[f"exec: {run.text().strip().splitlines()[0][:100]}"] += 1
    elif found != status or text not in run.text():
        trial.must_not("wrong", f"exec {arguments}: {found}, known is {status}: {run.text()[:300]}")


def _console(trial: Trial) -> None:
    size = trial.random.choice((10, 300, 5000))  # the port takes about 100 KiB a second
    command = f"head -c {size}k /dev/zero > /dev/console; exit {_STATUS}"
    _exec(trial, "exec", "--", "sh", "-c", command, status=_STATUS)


def _provider_fault(trial: Trial) -> None:
    name = trial.random.choice(sorted(_FAULTS))
    provider, fault = name.split()
    options = (f"--provider={provider}", f"--fault={fault}", "--hardware-time=0.01")
    text = _FAULTS[name]
    _exec(trial, "exec", *options, "--", "sh", "-c", _READ, status=bool(text), text=text)


def _frames(trial: Trial) -> None:
    """Send frames and noise to the provider port, and then a request that has one answer."""
    with Rig() as rig:
        rig.guest.open_session()
        try:
            for _ in range(2000):
                rig.guest.sock.sendall(_noise(trial))
            rig.guest.sock.sendall(bytes(1 << 17))  # ends a frame that announced more
            rig.guest.session = 0
            rig.guest.open_session()
            rig.guest.send_report(1, b"the last")
            ident, evidence, _ = rig.guest.receive_report()
            trial.row.verdicts += 1
            if ident != 1 or not evidence.outblob.startswith(b"the last#"):
                trial.must_not("wrong", f"the provider answered {ident}: {evidence.outblob!r}")
            rig.loop.raise_if_failed()
        except (OSError, EOFError, AssertionError, ProviderError) as error:
            trial.row.errors[f"provider port: {type(error).__name__}: {error}"] += 1


def _noise(trial: Trial) -> bytes:
    random = trial.random
    size = random.choice((1, 20, 300))
    frame = Frame(random.choice(list(FrameType)), 0, random.randrange(3), 5, 0, bytes(size))
    damaged = bytearray(encode_frame(frame))
    damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    magics = MAGIC.to_bytes(4, "little") * size
    return random.choice((bytes(damaged), magics, random.randbytes(size)))


GUESTS: dict[str, Callable[[Trial], None]] = {
    "flood: kernel log": _kernel_log,
    "flood: console": _console,
    "flood: provider port": _frames,
    "provider fault": _provider_fault,
}
