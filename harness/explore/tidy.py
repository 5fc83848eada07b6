# SPDX-License-Identifier: MIT
"""The last step of a program that looks for what an implementation keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from harness.errors import ActorDiedError, DeadlineError
from harness.explore.calls import CONTROL
from harness.explore.leftovers import Leftovers, kept_in_log
from harness.guest.guest import Guest
from harness.interface.find import CONFIGFS_REPORTS
from harness.model.outcome import Outcome
from tsmw.ops import Op

__all__ = ["tidy_up"]

_SLOT = 0
_SECONDS = 3.0


def tidy_up(guest: Guest, leftovers: Leftovers, secrets: Sequence[bytes]) -> Outcome:
    """Bring the guest into the state without entries and provider; report what is left there."""
    try:
        return _tidy_up(guest, leftovers, secrets)
    except DeadlineError as error:
        return Outcome(stuck=(str(error),))
    except ActorDiedError:
        return Outcome(died=True)


def _tidy_up(guest: Guest, leftovers: Leftovers, secrets: Sequence[bytes]) -> Outcome:
    for actor in guest.actors[:4]:  # the end of a process closes its files
        actor.kill()
        actor.wait_until_dead(seconds=_SECONDS)
        actor.spawn()
    actor = guest.actors[_SLOT]
    kept = leftovers.unpinned(actor)
    if leftovers.version.kind == "configfs":
        for name in actor.list(CONFIGFS_REPORTS, in_timeline=False):
            with contextlib.suppress(OSError):
                actor.rmdir(f"{CONFIGFS_REPORTS}/{name}")
    ops = [Op.open(CONTROL, 1), Op.write(b"leave"), Op.close()]
    call = actor.start(ops, tuple, "the provider leaves", in_timeline=False, stop_on_error=False)
    call.results(seconds=_SECONDS)
    kept += leftovers.find(actor)
    kept += leftovers.reload(actor)
    lines = [record.text for record in guest.log.records]
    return Outcome(kept=(*kept, *kept_in_log(lines, secrets)))
