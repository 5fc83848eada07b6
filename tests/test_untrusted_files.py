# SPDX-License-Identifier: MIT
"""Files and blobs of others, damaged on purpose: each reader raises its documented error.

The named inputs are what fuzzing found; the random ones are deterministic.
"""

from __future__ import annotations

import json
import random
import re
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

import cbor2
import pytest
from elftools.elf.sections import SymbolTableSection

from harness.bundle import read_bundle
from harness.elf import read_elf
from harness.errors import BuildError, HarnessError, UsageError
from harness.explore.program_json import RecordedProgram, read_program, write_program
from harness.kernels.bzimage import image_release, packaged_version
from harness.kernels.model import parse_config
from harness.kernels.module_files import _dependencies
from harness.matrix import file as matrix_file
from harness.matrix.file import read_matrix
from harness.model.steps import Program, WriteAttribute
from harness.oracle.records import parse_console, parse_kmsg
from harness.oracle.source_lines import SourceLines
from harness.oracle.splats import find_splats
from harness.report.journal import Journal
from harness.report.run_json import run_as_json, run_from_json
from harness.settings import Settings
from harness.verdict import (
    Cause,
    Cell,
    CellResult,
    ClaimSummary,
    RunResult,
    SourceExcerpt,
    Status,
)
from providers_sim import EvidenceError, describe
from providers_sim.description import Node
from providers_sim.evidence.cbor_text import add_value
from providers_sim.evidence.cose import decode, loads

SECONDS = 20.0
MUTATIONS = 400
KMSG = Path(__file__).parent / "data" / "kmsg"

CELL = CellResult(
    Cell("R1", "test_x", "6.12", "class-fixed", "sev-snp", 0),
    Status.FAIL,
    Status.PASS,
    1.5,
    "detail",
    "tsm-harness run R1",
    Path("artifacts"),
    ("line",),
    1,
    Cause("KASAN"),
    SourceExcerpt("f", "tsm.c", 1, 1, ("line",)),
)
RUN = json.dumps(
    run_as_json(RunResult([CELL], {"cores": 2}, claims={"R1": ClaimSummary("demand", "author")}))
)


def shared_lists(levels: int, width: int) -> bytes:
    """CBOR of a few hundred bytes that stands for ``width ** levels`` items (tags 28 and 29)."""
    lists = [b"\xd8\x1c" + bytes([0x80 | width]) + b"\x00" * width]
    for level in range(1, levels):
        reference = b"\xd8\x1d" + bytes([level - 1])
        lists.append(b"\xd8\x1c" + bytes([0x80 | width]) + reference * width)
    return bytes([0x80 | levels]) + b"".join(lists)


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(shared_lists(9, 23), id="shared values"),
        pytest.param(b"\xd9\x01\x00\x82\x63abc\xd8\x19\x00", id="repeated strings"),
        pytest.param(b"\xd8\x23" + cbor2.dumps("(a|b)*" * 9), id="a regular expression"),
        pytest.param(b"\xd8\x24" + cbor2.dumps("a:\n " * 100_000), id="a MIME message"),
        pytest.param(cbor2.dumps({1: 1 << 20_000}), id="a long integer"),
        pytest.param(cbor2.dumps(-1 << 20_000), id="a long negative integer"),
        pytest.param(cbor2.dumps({n * ((1 << 61) - 1): 0 for n in range(9000)}), id="equal hashes"),
        pytest.param(b"\xbf" + b"\x00\x00" * 9000 + b"\xff", id="an open map"),
        pytest.param(cbor2.dumps(set(range(9))), id="a set"),
        pytest.param(b"\xc2\x5f\x41\x01\xff", id="an integer in chunks"),
    ],
)
def test_cbor_that_no_evidence_has_is_refused(blob: bytes) -> None:
    started = monotonic()
    for read in (loads, decode):
        with pytest.raises(EvidenceError, match="this CBOR has"):
            read(blob)
    assert monotonic() - started < SECONDS


def test_integers_and_tags_of_evidence_are_read() -> None:
    value = [
        dict.fromkeys(range(1000)),
        1 << 2000,
        -1 << 2000,
        cbor2.CBORTag(601, {1: b"\xd8\x1c"}),
        "\xd8#",
    ]
    assert loads(cbor2.dumps(value)) == decode(cbor2.dumps(value)) == value


@pytest.mark.parametrize("tag", [399, 601, 907])
def test_token_with_a_long_integer_is_described_or_unknown(tag: int) -> None:
    token = cbor2.dumps(cbor2.CBORTag(tag, {1: 1 << 20_000, 44234: b"", (1 << 20_000): 2}))
    node = describe(token)
    assert node is None or node.children


def test_every_integer_that_is_read_has_a_text() -> None:
    node = Node("root")
    add_value(node, "claim", loads(cbor2.dumps({(1 << 2000): 1 << 2000})))
    assert node.children


@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN"])
@pytest.mark.parametrize("member", ["duration_s", "infrastructure_retries", "seed"])
def test_run_report_with_an_impossible_number_is_refused(member: str, value: str) -> None:
    text = re.sub(rf'"{member}": [\d.]+', f'"{member}": {value}', RUN)
    assert text != RUN
    if member == "duration_s":
        run_from_json(text.encode())  # a duration is only shown
        return
    with pytest.raises(HarnessError, match="missing or wrong"):
        run_from_json(text.encode())


def test_journal_with_an_impossible_number_loses_only_that_cell(tmp_path: Path) -> None:
    cell = json.dumps(run_as_json(RunResult([CELL], {}))["cells"][0])  # type: ignore[index]
    good = f'{{"job": "a", "node": "good", "result": {cell}}}'
    bad = good.replace('"good"', '"bad"').replace('retries": 1', 'retries": 1e999')
    path = tmp_path / "journal.jsonl"
    path.write_text(f'{{"journal": 1, "settings": {{}}, "command": ""}}\n{bad}\n{good}\n')
    journal = Journal.resume(path, {})
    assert list(journal.decided("a")) == ["good"]
    journal.close()


@pytest.mark.parametrize(
    "text", [f"seeds = [{'9' * 5000}]", f"kernels = {'[' * 20_000}", "kernels = ['\xff']"]
)
def test_matrix_that_toml_cannot_hold_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "matrix.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="is not TOML"):
        read_matrix(path)


@pytest.mark.parametrize("text", [f'{{"a": {"9" * 5000}}}', "[" * 100_000])
def test_json_that_python_cannot_hold_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    for read in (read_program, read_bundle):
        with pytest.raises(UsageError, match="is not a"):
            read(path)
    with pytest.raises(HarnessError, match="not a run report"):
        run_from_json(text.encode())
    assert describe(text.replace("[", '{"tcb_info":').encode()) is None


# ELF files.

Change = Callable[[bytearray, int], None]
"""Changes an ELF file, given the offset of the header of its symbol table."""


def _long_entries(data: bytearray, header: int) -> None:
    struct.pack_into("<Q", data, header + 56, 1)


def _long_table(data: bytearray, header: int) -> None:
    struct.pack_into("<Q", data, header + 32, 1 << 62)


def _far_table(data: bytearray, header: int) -> None:
    struct.pack_into("<Q", data, header + 24, (1 << 64) - 8)


def _far_headers(data: bytearray, _: int) -> None:
    struct.pack_into("<Q", data, 0x28, (1 << 64) - 64)


def _endless_headers(data: bytearray, _: int) -> None:
    """Let the first section header, of a size of 0 bytes, say that there are 2^62 of them."""
    start = struct.unpack_from("<Q", data, 0x28)[0]
    struct.pack_into("<Q", data, start + 32, 1 << 62)
    struct.pack_into("<HHH", data, 0x3A, 0, 0, 0)


def _compressed(data: bytearray, header: int) -> None:
    struct.pack_into("<Q", data, header + 8, 0x800)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("elf")
    (directory / "m.c").write_text(
        'static const char info[] __attribute__((section(".modinfo"), used)) = "depends=a,b-c";\n'
        "int f(int n) { return n + 1; }\n"
    )
    command = ["gcc", "-g", "-c", "m.c", "-o", "m.ko"]
    subprocess.run(command, cwd=directory, check=True)
    return directory / "m.ko"


def test_sound_module_is_read(module: Path) -> None:
    assert _dependencies(module.read_bytes(), "m") == ["a", "b_c"]
    assert "f" in symbols(module)


def symbols(path: Path) -> list[str]:
    with read_elf(path, "m") as elf:
        table = elf.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        return [symbol.name for symbol in table.iter_symbols()]


@pytest.mark.parametrize(
    "change",
    [_long_entries, _long_table, _far_table, _far_headers, _endless_headers, _compressed],
)
def test_damaged_module_is_a_build_error(change: Change, module: Path, tmp_path: Path) -> None:
    data = bytearray(module.read_bytes())
    with read_elf(module) as elf:
        number = elf.get_section_index(".symtab")
        header = elf.header["e_shoff"] + number * elf.header["e_shentsize"]
    change(data, header)
    path = tmp_path / "damaged.ko"
    path.write_bytes(data)
    started = monotonic()
    with pytest.raises(BuildError, match="m is damaged, or is not an ELF file") as caught:
        _dependencies(bytes(data), "m")
        symbols(path)
    assert caught.value.hint
    assert SourceLines({"": path}).decode([" f+0x1/0xf"]) == [" f+0x1/0xf"]
    assert monotonic() - started < SECONDS


# Random changes.


def _program(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    read_program(path)


def _bundle(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    read_bundle(path).settings.check()


def _matrix(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    read_matrix(path)


def _run(data: bytes, _: Path) -> None:
    for result in run_from_json(data).results:
        hash(result.cell)


def _journal(data: bytes, path: Path) -> None:
    path.write_bytes(b'{"journal": 1, "settings": {}, "command": ""}\n' + data)
    journal = Journal.resume(path, {})
    journal.decided("a")
    journal.close()


def _image(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    image_release(path)
    packaged_version(path)


def _config(data: bytes, _: Path) -> None:
    parse_config(data.decode("utf-8", "replace"))


def _elf(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    SourceLines({"": path}).decode([" f+0x1/0xf"])
    _dependencies(data, "m")


def _log(data: bytes, _: Path) -> None:
    records = [record for record in map(parse_kmsg, data.split(b"\n")) if record]
    find_splats(records)
    find_splats(parse_console(data))


def _seed_program(path: Path) -> bytes:
    steps = (WriteAttribute("a", "inblob", ((None, b"abc"),)),)
    write_program(path, RecordedProgram(Program(steps, "title"), "M1"))
    return path.read_bytes()


def _seed_bundle(_: Path) -> bytes:
    settings = Settings(kernels=("debian:6.12",), tsms=("class-fixed",), claims=("R1",))
    outcome = dict.fromkeys(("scenario", "release", "digest", "status", "headline"), "text")
    cause = {"kind": "KASAN", "subject": "", "function": "", "line": 0}
    return json.dumps(settings.recorded() | outcome | {"schema": 2, "cause": cause}).encode()


def _seed_matrix(_: Path) -> bytes:
    return (matrix_file.__doc__ or "").partition("::\n")[2].replace("\n    ", "\n").encode()


def _seed_run(_: Path) -> bytes:
    return RUN.encode()


def _seed_journal(_: Path) -> bytes:
    cell = json.loads(RUN)["cells"][0]
    lines = [{"job": "a", "inputs": {"x": "1"}}, {"job": "a", "node": "n", "result": cell}]
    return b"".join(json.dumps(line).encode() + b"\n" for line in [*lines, {"ended": True}])


def _seed_image(_: Path) -> bytes:
    header = bytearray(4096)
    header[0x1F1], header[0x202:0x206] = 1, b"HdrS"
    struct.pack_into("<H", header, 0x20E, 0x300)
    header[0x500:0x530] = b"6.12.1-amd64 (a@b) #1 SMP Debian 6.12.1-1".ljust(0x30, b"\0")
    return bytes(header)


def _seed_config(_: Path) -> bytes:
    return b'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="text"\n'


def _seed_log(_: Path) -> bytes:
    logs = sorted(path for path in KMSG.rglob("*") if path.is_file())
    return b"\n".join(path.read_bytes()[:2000] for path in logs[:6])


Reader = Callable[[bytes, Path], None]
READERS: dict[str, tuple[Reader, Callable[[Path], bytes], type[Exception] | None]] = {
    "program": (_program, _seed_program, UsageError),
    "bundle": (_bundle, _seed_bundle, UsageError),
    "matrix": (_matrix, _seed_matrix, UsageError),
    "run report": (_run, _seed_run, HarnessError),
    "journal": (_journal, _seed_journal, UsageError),
    "image": (_image, _seed_image, UsageError),
    "config": (_config, _seed_config, None),
    "log": (_log, _seed_log, None),
}
TOKENS = (b"1e999", b"-1", b"NaN", b"null", b"[]", b"{}", b'"\\ud800"', b"9" * 30, b"\xff", b"\0")
PIECE = re.compile(rb'"[^"]*"|-?\d[\d.e+]*|true|false|null|\[[^\[\]]*\]|\{[^{}]*\}')


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change bytes, cut or repeat a range, or exchange a value for another one."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(changed) or 1)
        end = start + rng.choice((1, 2, 4, 8, 64))
        match rng.randrange(5):
            case 0:
                changed[start:end] = rng.randbytes(end - start)
            case 1:
                del changed[start:end]
            case 2:
                changed[start:start] = changed[start:end] * rng.choice((1, 2, 50))
            case 3:
                changed[start:end] = rng.choice(TOKENS)
            case _:
                if pieces := list(PIECE.finditer(bytes(changed))):
                    old, new = rng.choice(pieces), rng.choice(pieces)
                    value = rng.choice((new[0], *TOKENS))
                    changed[old.start() : old.end()] = value
    return bytes(changed)


@pytest.mark.parametrize("name", READERS)
def test_damaged_file_raises_the_documented_error(name: str, tmp_path: Path) -> None:
    read, make_seed, documented = READERS[name]
    path = tmp_path / "file"
    seed = make_seed(path)
    read(seed, path)
    check_mutations(read, seed, documented, path)


def test_damaged_elf_file_raises_the_documented_error(module: Path, tmp_path: Path) -> None:
    check_mutations(_elf, module.read_bytes(), BuildError, tmp_path / "file")


def check_mutations(
    read: Reader, seed: bytes, documented: type[Exception] | None, path: Path
) -> None:
    rng = random.Random(1)
    for _ in range(MUTATIONS):
        data = mutated(seed, rng)
        started = monotonic()
        with suppress(*([documented] if documented else [])):
            read(data, path)
        assert monotonic() - started < SECONDS


def test_undocumented_error_is_found(tmp_path: Path) -> None:
    def planted(data: bytes, _: Path) -> None:
        int(json.loads(data)["cells"][0]["infrastructure_retries"])

    with pytest.raises((OverflowError, TypeError, LookupError, ValueError)):
        check_mutations(planted, RUN.encode(), UsageError, tmp_path)
