# SPDX-License-Identifier: MIT
"""The cluster that a user names, and how this process and the cluster know each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.cluster.credentials import check_credentials
from harness.errors import UsageError

__all__ = ["ClusterAddress"]


@dataclass(frozen=True)
class ClusterAddress:
    """``local``, or the address of a scheduler.

    ``credentials`` is a directory that :func:`harness.cluster.credentials.make_credentials` has
    made; without it a ``tls`` address needs credentials in Dask's configuration.
    ``unauthenticated`` allows plain TCP.
    """

    address: str
    credentials: Path | None = None
    unauthenticated: bool = False

    @property
    def local(self) -> bool:
        """Whether the cluster is started by this process."""
        return self.address == "local"

    def check(self) -> ClusterAddress:
        """Return the address; raises :class:`UsageError` for one that is not authenticated.

        The same for an invalid address, an option without effect, and unusable credentials.
        """
        scheme = "local" if self.local else "".join(self.address.partition("://")[:2])
        if scheme not in ("local", "tls://", "tcp://"):
            raise UsageError(
                f"--cluster {self.address} is not the address of a cluster",
                hint="use `local`, or an address like tls://HOST:8786",
            )
        if scheme == "tcp://" and not self.unauthenticated:
            raise UsageError(
                f"--cluster {self.address} is neither authenticated nor encrypted: whoever reaches "
                "the scheduler or a worker can run code there, and read and forge verdicts",
                hint="use tls:// with --cluster-credentials; on a network where that is no concern "
                "add --cluster-unauthenticated",
            )
        self._refuse_unused(scheme)
        if self.credentials is not None:
            check_credentials(self.credentials)
        return self

    def _refuse_unused(self, scheme: str) -> None:
        if self.unauthenticated and scheme != "tcp://":
            raise UsageError(
                f"--cluster-unauthenticated has no effect: --cluster {self.address} is "
                "authenticated",
                hint="leave out --cluster-unauthenticated",
            )
        if self.credentials is not None and scheme != "tls://":
            raise UsageError(
                f"--cluster-credentials has no effect with --cluster {self.address}",
                hint="use a tls:// address, or leave out --cluster-credentials",
            )
