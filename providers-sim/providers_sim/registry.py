# SPDX-License-Identifier: MIT
"""The providers there are: each module of ``evidence`` that defines ``PROVIDER``.

Such a module also has ``describe``, which makes its blobs readable.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from providers_sim import evidence
from providers_sim.description import Node
from providers_sim.errors import ProviderError
from providers_sim.evidence import x509_text
from providers_sim.options import Options
from providers_sim.provider import AnyProvider
from providers_sim.spec import parse_words

__all__ = ["available", "create", "describe", "parse_spec", "provider_type"]


@cache
def _modules() -> dict[str, ModuleType]:
    found: dict[str, ModuleType] = {}
    for info in pkgutil.iter_modules(evidence.__path__, f"{evidence.__name__}."):
        module = import_module(info.name)
        if hasattr(module, "PROVIDER"):
            found[module.PROVIDER.id] = module
    return dict(sorted(found.items()))


def available() -> tuple[str, ...]:
    """Return the ids of all providers, sorted."""
    return tuple(_modules())


def provider_type(provider_id: str) -> type[AnyProvider]:
    """Return the class of the provider ``provider_id``; ProviderError when there is none."""
    module = _modules().get(provider_id)
    if module is None:
        raise ProviderError(
            f"there is no provider {provider_id!r}; there are: {', '.join(available())}"
        )
    found: type[AnyProvider] = module.PROVIDER
    return found


def parse_spec(spec: str) -> tuple[type[AnyProvider], Options]:
    """Take ``ID`` or ``ID:OPTION=VALUE,...`` apart, as in ``tdx:version=5,body=1.5``.

    A boolean option may stand alone. Raises ProviderError when it means nothing.
    """
    provider_id, given = parse_words(spec)
    kind = provider_type(provider_id)
    options: Options = kind.options_type.from_words(given)
    return kind, options


def create(spec: str, *, seed: int = 0, pki_dir: Path | None = None) -> AnyProvider:
    """Make the provider that ``spec`` names (see ``parse_spec``).

    Its test PKI is kept in ``pki_dir`` and made there on first use; without a directory it
    lives as long as the process. Raises ProviderError on an unknown provider or option.
    """
    kind, options = parse_spec(spec)
    return kind(options, seed=seed, pki_dir=pki_dir)


def describe(blob: bytes) -> Node | None:
    """Describe a blob of any provider, simulated or real; None when nobody knows it.

    Certificates and revocation lists are known, too, in PEM and DER.
    """
    for module in (*_modules().values(), x509_text):
        node: Node | None = module.describe(blob)
        if node is not None:
            return node
    return None
