# SPDX-License-Identifier: MIT
"""Implementations of a user: detection of the interface, the build, and the verdicts."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.implementations.spec import parse_implementation
from harness.implementations.user import UserImplementation, read_user_implementation
from harness.paths import guest_images_directory
from tests.test_cli import Invoke, invoke

__all__ = ["invoke"]  # the fixture

CONFIGFS = Path(__file__).parent / "data" / "implementation"
CLASS = guest_images_directory() / "modules" / "tsm-class"
SHARED = CLASS.parent / "common"


# Code of our class that tests whether a defect is on, and its replacement.
CORRECT_FREE = {
    "if (!has_defect(DEFECT_DOUBLE_FREE) && !has_defect(DEFECT_READER_RACE))": "",
}
CONSTANT_CLASS = {
    'if (has_defect(DEFECT_DYNAMIC_CLASS)) {\n\t\ttsm_class = class_create("tsm");': "if (0) {",
}


def copy_class(tree: Path, folder: str = "", changes: dict[str, str] | None = None) -> Path:
    """Copy our class into ``tree``, C files into ``folder``; ``changes`` maps old to new code."""
    unused = set(changes or {})
    for source in (CLASS, SHARED):
        for file in (*source.rglob("*.c"), *source.rglob("*.h")):
            path = file.relative_to(source)
            target = tree / ("" if path.parts[0] == "include" else folder) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text()
            for old, new in (changes or {}).items():
                unused -= {old} if old in text else set()
                text = text.replace(old, new)
            target.write_text(text)
    assert not unused, f"our class has no such code: {unused}"
    return tree


def place(file: str, code: str) -> str:
    """Return ``file:line: code`` for the line of our class that has this code."""
    lines = (CLASS / file).read_text().splitlines()
    [found] = [number for number, line in enumerate(lines, 1) if code in line]
    return f"{file}:{found}: {code}"


def as_patch(tmp_path: Path, changes: dict[str, str] | None = None) -> Path:
    """Make a mail with a patch that adds our class, changed as in ``copy_class``."""
    copy_class(tmp_path / "b", "drivers/virt/coco", changes)
    (tmp_path / "a").mkdir()
    diff = subprocess.run(
        ["git", "diff", "--no-index", "--no-prefix", "a", "b"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    mail = tmp_path / "thread.mbox"
    mail.write_text(
        f"From: an author\nSubject: [PATCH] tsm\n\nA description.\n---\n{diff}-- \n2.40\n"
    )
    return mail


def verdicts(tmp_path: Path) -> dict[str, str]:
    """Return the worst verdict of each claim in out.json."""
    cells = json.loads((tmp_path / "out.json").read_bytes())["cells"]
    return {cell["claim"]: cell["status"] for cell in sorted(cells, key=_severity)}


def _severity(cell: dict[str, str]) -> int:
    return ("SKIP", "PASS", "FAIL", "ERROR").index(cell["status"])


def test_header_determines_the_interface(tmp_path: Path) -> None:
    directory = f"dir:{copy_class(tmp_path / 'flat')}"
    assert read_user_implementation(directory).interface == "class"
    assert read_user_implementation(f"dir:{CONFIGFS}").interface == "configfs"
    from_patch = parse_implementation(f"patch:{as_patch(tmp_path)}")
    assert isinstance(from_patch, UserImplementation)
    assert from_patch.files == read_user_implementation(directory).files
    assert from_patch.notes == ()
    for selector in ("1", "v1"):
        selected = parse_implementation(f"patch:{tmp_path / 'thread.mbox'}#{selector}")
        assert isinstance(selected, UserImplementation)
        assert selected.files == from_patch.files
    with pytest.raises(UsageError, match="no posting for #9"):
        parse_implementation(f"patch:{tmp_path / 'thread.mbox'}#9")


def test_two_new_files_of_one_name_are_refused(tmp_path: Path) -> None:
    thread = as_patch(tmp_path)
    thread.write_text(thread.read_text().replace("b/drivers/virt/coco/class.c", "b/mine/report.c"))
    with pytest.raises(UsageError, match=r"two new files become report\.c of the module"):
        parse_implementation(f"patch:{thread}")


@pytest.mark.parametrize(
    "header", sorted((CONFIGFS.parent / "tsm_api").iterdir()), ids=lambda path: path.name
)
def test_every_api_of_the_driver_is_detected(header: Path, tmp_path: Path) -> None:
    shutil.copytree(header, tmp_path / "include")
    (tmp_path / "tsm.c").touch()
    assert read_user_implementation(f"dir:{tmp_path}").interface == "configfs"


def test_a_header_without_a_registration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tsm.h").write_text("int unregister_tsm_all(void);\n")
    (tmp_path / "tsm.c").touch()
    with pytest.raises(UsageError, match="declares none of tsm_report_register, register_tsm, "):
        read_user_implementation(f"dir:{tmp_path}")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("patch:/nowhere", "no such file"),
        ("patch:/etc", "/etc has no patch"),
        ("patch:/nowhere#2", "no such file"),
        ("patch:a\0b", "no such file"),
        ("dir:/etc/hostname", "is not a directory"),
        ("patch:/etc/hostname", "/etc/hostname has no patch"),
    ],
)
def test_path_without_an_implementation_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_implementation(spec)


def test_patch_is_built_and_claims_are_decided(invoke: Invoke, tmp_path: Path) -> None:
    tsm = f"patch:{as_patch(tmp_path, CORRECT_FREE | CONSTANT_CLASS)}"
    done = invoke("run", "R1", "T3", "S3", "F7", "K4", "T4", "--tsm", tsm, "--json", "out.json")
    assert done.returncode == 0, done.stdout  # S3: every class with a single device fails it
    assert "the class interface cannot meet S3: one device has" in " ".join(done.stdout.split())
    assert verdicts(tmp_path) == {
        "R1": "PASS", "T3": "PASS", "S3": "FAIL", "F7": "SKIP", "K4": "PASS", "T4": "PASS",
    }  # fmt: skip


WITHOUT_LENGTH = {
    "size_t len = 0;": "size_t len;",
    "\t\tlen = tsm_class_state.outblob_len;": "\t\tbarrier();",
    "if (has_defect(DEFECT_NULL_REPORT))\n\t\treturn 0;": "return 0;",
}


def test_uninitialised_length_is_noticed_on_a_kernel_that_zeroes_its_stack(
    invoke: Invoke, tmp_path: Path
) -> None:
    patch = as_patch(tmp_path, CORRECT_FREE | WITHOUT_LENGTH)
    done = invoke("run", "P12", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert verdicts(tmp_path) == {"P12": "FAIL"}, done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"\t&bin_attr_outblob,\n": ""}, "outblob"),
        ({"\t&dev_attr_generation.attr,\n": ""}, "generation"),
        ({"\t&dev_attr_privlevel.attr,\n": ""}, "privlevel"),
        ({"\t&dev_attr_format.attr,\n": ""}, "format"),
    ],
)
def test_class_without_an_attribute_is_not_as_expected(
    changes: dict[str, str], missing: str, invoke: Invoke, tmp_path: Path
) -> None:
    patch = as_patch(tmp_path, CORRECT_FREE | changes)
    done = invoke("run", "C6", "T1b", "K3", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert done.returncode == 1, done.stdout
    assert verdicts(tmp_path)["C6"] == "FAIL"
    assert f"tsm0 lacks {missing}, which" in done.stdout


def test_entry_without_an_attribute_is_not_as_expected(invoke: Invoke, tmp_path: Path) -> None:
    tree = shutil.copytree(CONFIGFS, tmp_path / "tree")
    code = (tree / "tsm.c").read_text()
    (tree / "tsm.c").write_text(code.replace("&report_attr_inblob, &report_attr_outblob, ", ""))
    done = invoke("run", "C6", "--tsm", f"dir:{tree}", "--provider", "tdx", "--json", "out.json")
    assert done.returncode == 1, done.stdout
    assert "report1 lacks inblob, outblob, which" in done.stdout
    done = invoke("run", "C6", "--tsm", f"dir:{CONFIGFS}", "--provider", "tdx")
    assert done.returncode == 0, done.stdout


def test_a_missing_attribute_is_said_once(invoke: Invoke, tmp_path: Path) -> None:
    tree = shutil.copytree(CONFIGFS, tmp_path / "tree")
    code = (tree / "tsm.c").read_text()
    (tree / "tsm.c").write_text(code.replace("&report_attr_generation, ", ""))
    claims = ["T1", "S3", "G1", "C3", "C6", "K2"]
    tsm = f"dir:{tree}"
    done = invoke("run", *claims, "--tsm", tsm, "--provider", "tdx", "--json", "out.json")
    assert done.returncode == 1, done.stdout
    skipped = dict.fromkeys(("T1", "S3", "G1", "C3"), "SKIP")
    assert verdicts(tmp_path) == skipped | {"C6": "FAIL", "K2": "PASS"}
    line = "SKIP S3, G1, T1, C3: needs generation, which this implementation lacks: see C6"
    assert line in done.stdout.splitlines()
    assert done.stdout.count("needs generation") == 1
    assert "; 1 not as expected (!)" in done.stdout


def test_unregistering_that_sleeps_idle_for_ever_is_a_fail(invoke: Invoke, tmp_path: Path) -> None:
    never = {
        "\ttsm_device = NULL;\n\treturn 0;": "\ttsm_device = NULL;\n"
        "\tDECLARE_WAIT_QUEUE_HEAD_ONSTACK(never);\n"
        "\twait_event_idle(never, !tsm_class_state.serial);\n\treturn 0;",
        "#include <linux/tsm.h>\n": "#include <linux/tsm.h>\n#include <linux/wait.h>\n",
    }
    patch = as_patch(tmp_path, CORRECT_FREE | never)
    done = invoke("run", "P4", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert verdicts(tmp_path) == {"P4": "FAIL"}, done.stdout
    assert "does not return" in done.stdout


GOOD = CONFIGFS.parent / "implementations"
# Refuses readers; makes the report at the write; has both inputs; refuses callers in configfs.
STYLES = ("class/trylock", "class/eager", "class/pending-list", "configfs/trylock")


@pytest.mark.parametrize("style", STYLES)
def test_what_nothing_documents_is_allowed(style: str, invoke: Invoke, tmp_path: Path) -> None:
    claims = ["J1", "T4", "K1", "K2", "K3", "P4", "P6", "P9", "P12", "P13", "F6", "C1", "C6"]
    done = invoke("run", *claims, "--tsm", f"dir:{GOOD / style}", "--json", "out.json")
    assert done.returncode == 0, done.stdout
    found = verdicts(tmp_path)
    skipped = {"C1"} if style.startswith("class") else {"P6"}
    assert found == {claim: "SKIP" if claim in skipped else "PASS" for claim in claims}


def test_shim_for_another_kernel_is_applied_and_reported(invoke: Invoke, tmp_path: Path) -> None:
    old = {'class_create("tsm")': 'class_create(THIS_MODULE, "tsm")'}
    patch = as_patch(tmp_path, CORRECT_FREE | old)
    done = invoke("run", "T1", "K4", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert verdicts(tmp_path) == {"T1": "PASS", "K4": "FAIL"}, done.stdout
    assert "shim: class_create() has no module argument since 6.4" in done.stdout
    shim, warning = json.loads((tmp_path / "out.json").read_bytes())["notes"]
    assert shim.endswith("since 6.4")
    assert "warning of the compiler: report.c:" in warning  # the indentation in CORRECT_FREE


def test_defect_in_a_patch_is_noticed(invoke: Invoke, tmp_path: Path) -> None:
    patch = as_patch(tmp_path, CORRECT_FREE | {"if (!has_defect(DEFECT_STALE_TAIL))": "if (0)"})
    done = invoke("run", "T3", "R1", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert done.returncode == 1
    assert verdicts(tmp_path) == {"R1": "PASS", "T3": "FAIL"}


def test_claims_about_the_source_are_decided(invoke: Invoke, tmp_path: Path) -> None:
    rc_returned = {"return has_defect(DEFECT_SECOND_REGISTER) ? 0 : -EBUSY;": "return rc;"}
    kept = {"has_defect(DEFECT_DOUBLE_FREE)": "true"}
    patch = as_patch(tmp_path, rc_returned | kept)
    done = invoke("run", "R1", "T4", "K4", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert done.returncode == 1, done.stdout
    assert verdicts(tmp_path) == {"R1": "FAIL", "T4": "FAIL", "K4": "FAIL"}
    output = " ".join(done.stdout.split())
    assert place("report.c", "kvfree(tsm_class_state.outblob);") in output
    refused = place("class.c", "return has_defect(DEFECT_SECOND_REGISTER)").partition(" ")[0]
    assert f"{refused} return rc;" in output
    assert "class_create()" in output


def test_claims_on_a_directory_with_the_configfs_interface_are_decided(
    invoke: Invoke, tmp_path: Path
) -> None:
    claims = ["T1", "T3", "J1", "K3", "T4", "P4", "F2", "F4", "F10"]
    done = invoke("run", *claims, "--tsm", f"dir:{CONFIGFS}", "--json", "out.json")
    assert done.returncode == 0, done.stdout
    assert verdicts(tmp_path) | {"T1": ""} == {
        "T1": "", "T3": "PASS", "J1": "PASS", "K3": "SKIP", "T4": "PASS",
        "P4": "PASS", "F2": "PASS", "F4": "PASS", "F10": "PASS",
    }  # fmt: skip


def test_panic_of_an_implementation_is_a_fail(invoke: Invoke, tmp_path: Path) -> None:
    show = 'return sysfs_emit(buf, "%lu\\n", tsm_class_state.generation);'
    patch = as_patch(tmp_path, {show: f'panic("deliberate panic"); {show}'})
    done = invoke("run", "T1", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert done.returncode == 1
    assert "deliberate panic" in done.stdout
    assert verdicts(tmp_path)["T1"] == "FAIL"


def test_patch_that_does_not_compile_is_an_error_with_the_compilers_errors(
    invoke: Invoke, tmp_path: Path
) -> None:
    patch = as_patch(tmp_path, {"free_report();": "free_report(1, 2);"} | CORRECT_FREE)
    done = invoke("run", "R1", "--tsm", f"patch:{patch}", "--json", "out.json")
    assert done.returncode == 125
    assert "too many arguments to function" in done.stdout
    assert verdicts(tmp_path) == {"R1": "ERROR"}
