# SPDX-License-Identifier: MIT
"""Which interface an implementation has, found in its code."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.implementations.api import HEADER, api_of, detect_api, driver_apis
from harness.implementations.user import read_user_implementation
from harness.interface.apis import PROVIDER_APIS, numbered_api
from harness.paths import guest_images_directory
from tests.test_cli import Invoke, invoke
from tests.test_user_implementation import verdicts

__all__ = ["invoke"]  # the fixture

DATA = Path(__file__).parent / "data"
MODULES = guest_images_directory() / "modules"
POSTED = DATA / "implementations" / "configfs"
HEADERS = {
    "class": MODULES / "tsm-class" / "include",
    "6_7": DATA / "tsm_api" / "6.7",
    "6_11": DATA / "implementation" / "include",
    "6_16": DATA / "tsm_api" / "6.16",
    "posted_v3": POSTED / "posted-v3" / "include",
    "posted_v4": POSTED / "posted-v4" / "include",
}


def header_of(name: str) -> str:
    return (HEADERS[name] / "linux" / "tsm.h").read_text()


def test_each_version_has_its_file_and_its_number() -> None:
    assert set(PROVIDER_APIS) == set(driver_apis()) == set(HEADERS)
    for name, api in PROVIDER_APIS.items():
        text = (MODULES / "tsm-sim" / f"api_{name}.c").read_text()
        assert re.findall(r"\.id = (\d+),", text) == [str(api.number)]
        assert numbered_api(api.number) is api


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_recognised_by_its_declarations(name: str) -> None:
    assert api_of([(HEADER, header_of(name))]) == name


def test_comments_and_strings_do_not_count() -> None:
    header = header_of("6_11")
    for text in (
        "/* replaces\n * register_tsm() and config_item_type */",
        "// tsm_report_register",
    ):
        assert api_of([(HEADER, f"{text}\n{header}")]) == "6_11"
    assert api_of([(HEADER, f'#define OLD "register_tsm"\n{header}')]) == "6_11"
    assert api_of([(HEADER, "/* int tsm_register(void); */")]) is None


@pytest.mark.parametrize(
    ("code", "interface"),
    [
        ("int x(void) { return configfs_register_subsystem(&s); }", "configfs"),
        ("int x(void) { return class_register(&c); }", "class"),
        ('void x(void) { c = class_create("tsm"); }', "class"),
        ("/* no configfs_register_subsystem() here */", "class"),
        ("int x(void) { return class_register(&c) + configfs_register_subsystem(&s); }", "class"),
    ],
)
def test_the_c_files_decide_what_callers_see(code: str, interface: str) -> None:
    files = {HEADER: header_of("class"), "tsm.c": code}
    assert detect_api(files, "x").interface == interface


def test_a_header_without_a_registration_is_an_error() -> None:
    with pytest.raises(UsageError, match="the header in x declares none of tsm_report_register"):
        detect_api({HEADER: "int tsm_enroll(void);"}, "x")


CLAIMS = ["R1", "T1", "T3", "C2", "C6", "F1", "F4", "F11", "M1"]
SKIPPED = {"posted-v3": {"F1", "F4", "F11"}, "posted-v4": {"F1", "F11"}}


@pytest.mark.parametrize("version", SKIPPED)
def test_a_posted_version_is_judged(version: str, invoke: Invoke, tmp_path: Path) -> None:
    tsm = f"dir:{POSTED / version}"
    assert read_user_implementation(tsm).interface == "configfs"
    done = invoke("run", *CLAIMS, "--tsm", tsm, "--json", "out.json")
    assert done.returncode == 0, done.stdout
    wanted = {claim: "SKIP" if claim in SKIPPED[version] else "PASS" for claim in CLAIMS}
    assert verdicts(tmp_path) == wanted
    cells = json.loads((tmp_path / "out.json").read_bytes())["cells"]
    [reason] = [cell["detail"] for cell in cells if cell["claim"] == "F1"]
    assert reason.endswith("this implementation has no auxblob")


@pytest.mark.parametrize(
    ("version", "claim", "old", "new"),
    [
        ("posted-v3", "T3", "memset(entry->desc.inblob + count, 0", "(void)(0"),
        ("posted-v3", "R1", "\tentry->blob = NULL;\n\tentry->blob_len", "\tentry->blob_len"),
        ("posted-v4", "F4", "\tif (entry->fresh)", "\tif (entry->made == entry->written)"),
        ("posted-v4", "C6", "&entry_attr_privlevel,\n", "\n"),
    ],
)
def test_a_defect_in_a_posted_version_is_noticed(
    version: str, claim: str, old: str, new: str, invoke: Invoke, tmp_path: Path
) -> None:
    tree = shutil.copytree(POSTED / version, tmp_path / "tree")
    code = (tree / "tsm.c").read_text()
    assert old in code
    (tree / "tsm.c").write_text(code.replace(old, new, 1))
    done = invoke("run", claim, "--tsm", f"dir:{tree}", "--json", "out.json")
    assert done.returncode == 1, done.stdout
    assert verdicts(tmp_path) == {claim: "FAIL"}
