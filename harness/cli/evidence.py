# SPDX-License-Identifier: MIT
"""``evidence``: what a simulated TEE signs, without a guest, and what any blob says."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from rich.console import Console
from rich.text import Text

from harness.cli import options
from harness.errors import HostError, UsageError
from harness.oracle.printable import printable
from harness.paths import cache_directory
from providers_sim import (
    AnyProvider,
    Evidence,
    EvidenceError,
    ProviderError,
    ReportRequest,
    available,
    describe,
    provider_type,
)
from providers_sim.description import Node
from providers_sim.fault_table import ProviderFault
from providers_sim.options import OptionInfo, split_spec

__all__ = ["evidence"]

_MAX_BLOB = 64 << 20
_BLOBS = ("outblob", "auxblob", "manifestblob")
_OWN = "\0own"  # what --describe is without a file


@dataclass(frozen=True, kw_only=True)
class Order:
    """What was asked for, besides the provider's variants."""

    inblob: bytes | None
    out: Path
    force: bool
    privlevel: int | None
    service: str | None
    manifest_version: int
    extensions: tuple[tuple[int, bytes], ...]
    fault: str
    faults: bool
    describe: str
    seed: int
    cache: Path | None


@click.group(invoke_without_command=True)
@click.option(
    "--describe",
    "files",
    multiple=True,
    type=click.Path(allow_dash=True),
    help="Print what a blob says, ours or real hardware's; - is standard input. Repeatable.",
)
@click.pass_context
def evidence(ctx: click.Context, files: tuple[str, ...]) -> int:
    """Write what a simulated TEE signs, and all that a verifier needs; no guest is started.

    tsm-harness evidence tdx --help shows the variants of a provider.
    """
    for file in files:
        _print_description(file, _read(file))
    if not files and ctx.invoked_subcommand is None:
        raise UsageError(
            "name a provider, or a file to --describe", hint=f"there are {', '.join(available())}"
        )
    return 0


def _write_evidence(provider_id: str) -> click.Command:
    kind = provider_type(provider_id)
    infos = kind.options_type.infos()

    def command(**words: Any) -> int:  # noqa: ANN401 - click has converted each
        order = Order(**{item.name: words.pop(item.name) for item in fields(Order)})
        if order.faults:
            return _print_faults(kind.faults.values())
        if order.describe not in ("", _OWN):
            return _print_description(order.describe, _read(order.describe))
        given = {name: _word(value) for name, value in words.items() if value is not None}
        try:
            return _fulfil(kind, given, order)
        except EvidenceError:
            raise  # the PKI's directory, not the words
        except ProviderError as error:
            hint = f"`tsm-harness evidence {kind.id} --help` lists the options, --faults the faults"
            raise UsageError(str(error), hint=hint) from error

    wrapped: Callable[..., int] = command
    for option in reversed([*map(_variant, infos), *_common()]):
        wrapped = option(wrapped)
    summary = (sys.modules[kind.__module__.rpartition(".")[0]].__doc__ or "").strip()
    return click.command(provider_id, help=summary.replace("\n- ", "\n\n- "))(wrapped)


def _fulfil(kind: type[AnyProvider], given: dict[str, str], order: Order) -> int:
    store = cache_directory(order.cache) / "pki"
    provider = kind(kind.options_type.from_text(given), seed=order.seed, pki_dir=store)
    for register, data in order.extensions:
        provider.extend(register, data)
    request = _request(provider, order)
    made = _answer(provider, request, order.fault)
    _write_all(order, provider, request, made)
    if order.describe == _OWN:
        for name in _BLOBS:
            if getattr(made, name):
                _print_description(name, getattr(made, name))
    return 0


def _variant(info: OptionInfo) -> Callable[[Callable[..., int]], Callable[..., int]]:
    flag = f"--{info.name.replace('_', '-')}"
    default = f"  [default: {info.default}]" if info.default != "" else ""
    if info.kind is bool:
        return click.option(
            f"{flag}/--no-{flag[2:]}", info.name, default=None, help=info.help + default
        )
    choices = click.Choice([str(choice) for choice in info.choices])
    kind = choices if info.choices else click.STRING
    metavar = None if info.choices else info.kind.__name__.upper()
    return click.option(flag, info.name, type=kind, metavar=metavar, help=info.help + default)


def _common() -> list[Callable[[Callable[..., int]], Callable[..., int]]]:
    return [
        click.option("--inblob", type=_Hex(), help="The nonce, in hexadecimal; random without."),
        click.option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("tsm-harness-evidence"),
            show_default=True,
            help="Directory for the files; made when missing.",
        ),
        click.option("--force", is_flag=True, help="Write into a directory that has files."),
        click.option("--privlevel", type=int, help="Privilege level; the guest's own without."),
        click.option("--service", help="An SVSM's services: all, or one's GUID."),
        click.option("--manifest-version", type=int, default=0, help="Of the service's manifest."),
        click.option(
            "--extend",
            "extensions",
            multiple=True,
            type=_Extension(),
            metavar="REGISTER=HEX",
            help="Extend a runtime measurement register first. Repeatable.",
        ),
        click.option(
            "--fault", default="", metavar="NAME[:KEY=VALUE,...]", help="Let this go wrong."
        ),
        click.option("--faults", is_flag=True, help="List what can go wrong, and end."),
        click.option(
            "--describe",
            default="",
            is_flag=False,
            flag_value=_OWN,
            metavar="[FILE]",
            help="Print what was written, decoded; with FILE, what that says instead.",
        ),
        click.option("--seed", type=int, default=0, help="Seed of keys, chip and measurements."),
        options.setting("cache"),
    ]


class _Hex(click.ParamType[bytes]):
    name = "hex"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        try:
            return value if isinstance(value, bytes) else bytes.fromhex(str(value))
        except ValueError:
            self.fail(f"{value!r} is not hexadecimal", param, ctx)


class _Extension(click.ParamType[tuple[int, bytes]]):
    name = "extension"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, bytes]:
        register, equals, data = str(value).partition("=")
        try:
            if not equals:
                raise ValueError
            return int(register), bytes.fromhex(data)
        except ValueError:
            self.fail(f"{value!r} is not REGISTER=HEX", param, ctx)


def _word(value: str | bool) -> str:
    return value if isinstance(value, str) else ("yes" if value else "no")


def _request(provider: AnyProvider, order: Order) -> ReportRequest:
    service, level = order.service, order.privlevel
    try:
        guid = UUID(int=0) if service in (None, "all") else UUID(service)
    except ValueError:
        raise UsageError(f"a service is all or a GUID; not {service!r}") from None
    return ReportRequest(
        id=1,
        inblob=secrets.token_bytes(64) if order.inblob is None else order.inblob,
        privlevel=provider.privlevel_floor if level is None else level,
        service_provider=None if service is None else b"svsm",
        service_guid=guid.bytes_le,
        manifest_version=order.manifest_version,
    )


def _answer(provider: AnyProvider, request: ReportRequest, fault: str) -> Evidence:
    name, texts = split_spec(fault)
    params = provider.faults.find(name).parse(texts) if name else {}
    answer = provider.answer(request, name, params)
    if answer.refusal is not None:
        raise UsageError(
            f"{provider.id} gives no evidence for this request: {answer.refusal.reason}"
            f" ({answer.refusal.status.name})",
            hint="that is what the driver in a guest would say, too",
        )
    assert answer.evidence is not None
    return answer.evidence


def _write_all(order: Order, provider: AnyProvider, request: ReportRequest, made: Evidence) -> None:
    out = order.out
    state = json.dumps(provider.get_state(), indent=1).encode() + b"\n"
    blobs = {name: getattr(made, name) for name in _BLOBS}
    files = {
        "inblob": request.inblob,
        **{name: blob for name, blob in blobs.items() if blob or name == "outblob"},
        **provider.collateral(),
        "state.json": state,
    }
    try:
        if out.is_dir() and any(out.iterdir()) and not order.force:
            raise UsageError(f"{out} has files already", hint="name another --out, or say --force")
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
            click.echo(f"{out / name}  {len(content)} bytes")
    except OSError as error:
        raise HostError(f"cannot write the evidence: {error}", hint="name another --out") from error


def _read(file: str) -> bytes:
    try:
        with click.open_file(file, "rb") as stream:
            blob = stream.read(_MAX_BLOB + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    if len(blob) > _MAX_BLOB:
        raise UsageError(f"{file} is larger than any blob: over {_MAX_BLOB} bytes")
    assert isinstance(blob, bytes)
    return blob


def _print_description(name: str, blob: bytes) -> int:
    node = describe(blob)
    if node is None:
        raise UsageError(
            f"{name} ({len(blob)} bytes) is no report, quote, token, table, manifest, certificate "
            "or collateral known here"
        )
    console = Console(highlight=False, soft_wrap=True)
    for line in _lines(node):
        console.print(line)
    return 0


def _lines(node: Node, indent: str = "", guide: str = "") -> Iterator[Text]:
    line = Text(indent + guide)
    line.append(printable(node.label), style="bold" if node.children else "")
    if node.value:
        line.append(f"  {printable(node.value)}")
    yield line
    below = indent + {"": "", "├── ": "│   ", "└── ": "    "}[guide]
    for part in node.children:
        yield from _lines(part, below, "└── " if part is node.children[-1] else "├── ")


def _print_faults(faults: Iterable[ProviderFault]) -> int:
    for fault in faults:
        params = ",".join(f"{name}={default}" for name, (_, default) in fault.parameters.items())
        click.echo(f"{fault.name}{':' + params if params else ''}")
        click.echo(f"    {fault.summary}")
        click.echo(f"    The reader gets: {fault.outcome}.")
    return 0


for _provider in available():
    evidence.add_command(_write_evidence(_provider))
