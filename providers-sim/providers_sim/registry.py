# SPDX-License-Identifier: MIT
"""Registry of the providers: each module of ``evidence`` that defines ``PROVIDER``.

Such a module also defines ``describe``, which decodes its blobs into a tree of text.
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
from providers_sim.options import Options, split_spec
from providers_sim.provider import AnyProvider

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
    """Parse ``ID`` or ``ID:OPTION=VALUE,...``, for example ``tdx:version=5,body=1.5``.

    ``OPTION`` alone sets a boolean option. Raises ProviderError on an unknown provider or option
    and on an invalid value.
    """
    provider_id, values = split_spec(spec)
    kind = provider_type(provider_id)
    options: Options = kind.options_type.from_text(values)
    return kind, options


def create(spec: str, *, seed: int = 0, pki_dir: Path | None = None) -> AnyProvider:
    """Make the provider that ``spec`` names; errors are those of ``parse_spec``.

    Its test PKI is stored in ``pki_dir`` and made there on first use; without a directory it is
    kept in memory.
    """
    kind, options = parse_spec(spec)
    return kind(options, seed=seed, pki_dir=pki_dir)


def describe(blob: bytes) -> Node | None:
    """Decode a blob of any provider, simulated or real; None when its format is unknown.

    X.509 certificates and revocation lists in PEM and DER are decoded, too.
    """
    for module in (*_modules().values(), x509_text):
        node: Node | None = module.describe(blob)
        if node is not None:
            return node
    return None
