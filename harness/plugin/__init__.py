# SPDX-License-Identifier: MIT
"""The pytest plugin: it runs scenarios in guests and makes their verdicts.

``options`` has the settings, ``cells`` runs each scenario on every kernel, implementation and
provider, ``prediction`` says which status is expected, ``fixtures`` has the guest. ``verdicts``
makes the verdict, ``evidence`` collects what was recorded, ``results`` writes it and passes the
result on, and ``collector`` (which ``runner`` installs) collects the results of all workers.
``sections`` is for tests without a claim, which try a program that uses the interface.
"""

from __future__ import annotations

pytest_plugins = [
    "harness.plugin.options",
    "harness.plugin.cells",
    "harness.plugin.fixtures",
    "harness.plugin.exploration",
    "harness.plugin.verdicts",
    "harness.plugin.results",
    "harness.plugin.sections",
    "harness.plugin.session",
]
