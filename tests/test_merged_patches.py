# SPDX-License-Identifier: MIT
"""Patches to the merged code of packaged kernels, from the patch file to the verdicts.

The kernel's code is not kept here: each patch is made from the fetched sources by a rule.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.implementations.core import core_of
from harness.kernels.kernel_source import kernel_source
from harness.session import Session
from harness.settings import DEFAULT_KERNEL
from tests.postings import edited, write_patch
from tests.test_cli import Invoke, invoke

__all__ = ["invoke"]  # the fixture

Files = Mapping[str, str]

COPY = r"(\tmemcpy\(report->desc\.inblob, buf, count\);)"
CLEARED = r"\tmemset(report->desc.inblob, 0, sizeof(report->desc.inblob));\n\1"
COMMIT = r"(\treport->desc\.inblob_len = count;)"
UNCOUNTED = r"\tto_state(report)->write_generation--;\n\1"


@pytest.fixture(scope="module")
def sources(session: Session) -> Files:
    """The sources of the default kernel."""
    kernel = session.kernel(DEFAULT_KERNEL)
    return dict(kernel_source(kernel, session.cache, session.progress).files)


@pytest.fixture(scope="module")
def implementation(sources: Files) -> str:
    """The path of the C file of the implementation."""
    core = core_of(sources)
    assert core is not None
    [name] = [name for name in core.files if name.endswith(".c")]
    return name


def verdicts(tmp_path: Path) -> dict[tuple[str, str], str]:
    """Return the worst verdict of each claim and kind of implementation in out.json."""
    cells = json.loads((tmp_path / "out.json").read_bytes())["cells"]
    worst = ("SKIP", "PASS", "FAIL", "ERROR").index
    ordered = sorted(cells, key=lambda cell: worst(cell["status"]))
    return {(cell["claim"], cell["tsm"].partition(":")[0]): cell["status"] for cell in ordered}


def test_fix_of_a_defect_is_seen(
    sources: Files, implementation: str, invoke: Invoke, tmp_path: Path
) -> None:
    fixed = edited(sources, implementation, COPY, CLEARED)
    patch = write_patch(tmp_path / "fix.patch", sources, fixed)
    done = invoke("run", "T3", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert done.returncode == 0, done.stdout
    assert verdicts(tmp_path) == {("T3", "mainline"): "FAIL", ("T3", "patch"): "PASS"}
    assert "against its base mainline: 1 fixed, 0 broken" in done.stdout
    assert "mainline is judged too" in done.stdout


def test_broken_claim_is_seen(
    sources: Files, implementation: str, invoke: Invoke, tmp_path: Path
) -> None:
    broken = edited(sources, implementation, COMMIT, UNCOUNTED)
    patch = write_patch(tmp_path / "break.patch", sources, broken)
    done = invoke("run", "T1", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert done.returncode == 1, done.stdout
    assert verdicts(tmp_path) == {("T1", "mainline"): "PASS", ("T1", "patch"): "FAIL"}
    assert "0 fixed, 1 broken" in done.stdout


def test_patch_of_every_kind_is_built(
    sources: Files, implementation: str, invoke: Invoke, tmp_path: Path
) -> None:
    """One series: a file is split and renamed, the header and the Kconfig file change."""
    directory = implementation.rpartition("/")[0]
    makefile, moved = f"{directory}/Makefile", f"{directory}/evidence.c"
    renamed = {name: text for name, text in sources.items() if name != implementation}
    renamed[moved] = edited(sources, implementation, COPY, r"\tcopy_nonce(report, buf, count);")[
        implementation
    ]
    renamed = edited(renamed, moved, r"#include <linux/tsm.h>\n", r'\g<0>#include "nonce.h"\n')
    renamed[f"{directory}/nonce.h"] = (
        "#include <linux/tsm.h>\n"
        "void copy_nonce(struct tsm_report *report, const void *buf, size_t count);\n"
    )
    renamed[f"{directory}/nonce.c"] = (
        '#include <linux/string.h>\n#include "nonce.h"\n\n'
        "void copy_nonce(struct tsm_report *report, const void *buf, size_t count)\n{\n"
        "\tmemset(report->desc.inblob, 0, sizeof(report->desc.inblob));\n"
        "\tmemcpy(report->desc.inblob, buf, count);\n}\n"
    )
    split = edited(renamed, makefile, r"\+= tsm\.o$", "+= tsm.o\ntsm-y := evidence.o nonce.o")
    documented = {**split, f"{directory}/Kconfig": f"# none\n{split[f'{directory}/Kconfig']}"}
    header = edited(documented, "include/linux/tsm.h", r"\A", "/* none */\n")
    patch = write_patch(tmp_path / "series.patch", sources, split, header)
    done = invoke("run", "T3", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert done.returncode == 0, done.stdout
    assert verdicts(tmp_path)["T3", "patch"] == "PASS"
    assert re.search(rf"not judged: {directory}/Kconfig\s", done.stdout)


def test_driver_is_built_again_only_where_the_header_changes(
    sources: Files, implementation: str, session: Session, tmp_path: Path
) -> None:
    fixed = edited(sources, implementation, COPY, CLEARED)
    small = write_patch(tmp_path / "small.patch", sources, fixed)
    header = edited(
        fixed, "include/linux/tsm.h", r"^struct tsm_report \{\n", r"\g<0>\tlong more;\n"
    )
    large = write_patch(tmp_path / "large.patch", sources, header)
    mainline = session.build(DEFAULT_KERNEL, "mainline").driver
    assert session.build(DEFAULT_KERNEL, f"patch:{small}").driver == mainline
    assert session.build(DEFAULT_KERNEL, f"patch:{large}").driver.digest != mainline.digest


def test_patch_that_does_not_apply_leaves_its_cells_undecided(
    sources: Files, implementation: str, invoke: Invoke, tmp_path: Path
) -> None:
    other = edited(sources, implementation, COPY, r"\tcopy(report);")
    changed = edited(other, implementation, r"\tcopy\(report\);", r"\tcopy(report, 0);")
    patch = write_patch(tmp_path / "a.patch", other, changed)
    done = invoke("run", "T3", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert done.returncode == 125, done.stdout
    assert verdicts(tmp_path) == {("T3", "mainline"): "FAIL", ("T3", "patch"): "ERROR"}
    output = " ".join(done.stdout.split())
    assert f"error: patch failed: {implementation}:" in output
    assert "does not apply to linux-source-6.12" in output
    assert "--base" in output


def test_patch_to_documentation_only_is_not_judged(invoke: Invoke, tmp_path: Path) -> None:
    name = "Documentation/ABI/testing/configfs-tsm-report"
    patch = write_patch(tmp_path / "doc.patch", {name: "one\n"}, {name: "two\n"})
    done = invoke("run", "T3", "--tsm", f"patch:{patch}")
    assert done.returncode == 125
    assert "changes nothing that is judged" in done.stderr
    assert "as expected" not in done.stdout


def test_fail_of_a_patch_is_repeated_from_its_bundle(
    sources: Files, implementation: str, invoke: Invoke, tmp_path: Path
) -> None:
    broken = edited(sources, implementation, COMMIT, UNCOUNTED)
    patch = write_patch(tmp_path / "break.patch", sources, broken)
    invoke("run", "T1", "--tsm", f"patch:{patch}", "--artifacts", "results")
    patch.unlink()
    [bundle] = (tmp_path / "results").glob("T1_*patch*")
    done = invoke("replay", str(bundle))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (bundle / "core" / implementation).is_file()
