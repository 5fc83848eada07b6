# SPDX-License-Identifier: MIT
"""The providers there are: each module of ``evidence`` that defines ``PROVIDER``."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol

from providers_sim import evidence
from providers_sim.errors import ProviderError
from providers_sim.provider import Provider

__all__ = ["ProviderFactory", "available", "create"]


class ProviderFactory(Protocol):
    """What ``PROVIDER`` is: usually the provider's class."""

    @property
    def id(self) -> str:
        """The project's name of the provider."""

    def __call__(self, *, seed: int, pki_dir: Path | None) -> Provider:
        """Make one; keys and certificates come from, and go to, ``pki_dir``."""


@cache
def _factories() -> dict[str, ProviderFactory]:
    found: dict[str, ProviderFactory] = {}
    for info in pkgutil.iter_modules(evidence.__path__, f"{evidence.__name__}."):
        factory: ProviderFactory | None = getattr(import_module(info.name), "PROVIDER", None)
        if factory is not None:
            found[factory.id] = factory
    return dict(sorted(found.items()))


def available() -> tuple[str, ...]:
    """Return the ids of all providers, sorted."""
    return tuple(_factories())


def create(provider_id: str, *, seed: int = 0, pki_dir: Path | None = None) -> Provider:
    """Make the provider ``provider_id``.

    Its test PKI is kept in ``pki_dir`` and made there on first use; without a directory it
    lives as long as the process. Raises ProviderError on an unknown id.
    """
    factory = _factories().get(provider_id)
    if factory is None:
        raise ProviderError(
            f"there is no provider {provider_id!r}; there are: {', '.join(available())}"
        )
    return factory(seed=seed, pki_dir=pki_dir)
