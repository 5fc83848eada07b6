# SPDX-License-Identifier: MIT
"""``evidence``: makes a simulated TEE's evidence without a guest, and describes any blob."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from harness.cli import options
from harness.cli.blobs import print_description, read_blob
from harness.cli.groups import Group
from harness.errors import HostError, UsageError
from harness.paths import cache_directory
from providers_sim import (
    AnyProvider,
    Evidence,
    EvidenceError,
    ProviderError,
    ReportRequest,
    available,
    provider_type,
)
from providers_sim.fault_table import ProviderFault
from providers_sim.options import OptionInfo, split_spec

__all__ = ["evidence"]

_BLOBS = ("outblob", "auxblob", "manifestblob")
_OWN = "\0own"  # the value of --describe without a file


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The command's arguments, without the options of the provider."""

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


@click.group(cls=Group, invoke_without_command=True)
@click.option(
    "--describe",
    "files",
    multiple=True,
    type=click.Path(allow_dash=True),
    help="Decode and print a blob, simulated or of real hardware; - is standard input. Repeatable.",
)
@click.pass_context
def evidence(ctx: click.Context, files: tuple[str, ...]) -> int:
    """Write the evidence of a simulated TEE and the files to verify it, without a guest.

    tsm-harness evidence tdx --help lists the options of a provider.
    """
    for file in files:
        print_description(file, read_blob(file))
    if not files and ctx.invoked_subcommand is None:
        raise UsageError(
            "name a provider, or a file to --describe",
            hint=f"the providers are {', '.join(available())}",
        )
    return 0


def _provider_command(provider_id: str) -> click.Command:
    kind = provider_type(provider_id)
    infos = kind.options_type.infos()

    def command(**values: Any) -> int:  # noqa: ANN401 - click has converted each
        arguments = Arguments(**{item.name: values.pop(item.name) for item in fields(Arguments)})
        _refuse_ignored(arguments)
        if arguments.faults:
            return _print_faults(kind.faults.values())
        if arguments.describe not in ("", _OWN):
            return print_description(arguments.describe, read_blob(arguments.describe))
        texts = {name: _text(value) for name, value in values.items() if value is not None}
        try:
            return _write_evidence(kind, texts, arguments)
        except EvidenceError:
            raise  # caused by the PKI directory, not by the arguments
        except ProviderError as error:
            hint = f"`tsm-harness evidence {kind.id} --help` lists the options, --faults the faults"
            raise UsageError(str(error), hint=hint) from error

    wrapped: Callable[..., int] = command
    for option in reversed([*map(_provider_option, infos), *_common_options()]):
        wrapped = option(wrapped)
    summary = (sys.modules[kind.__module__.rpartition(".")[0]].__doc__ or "").strip()
    return click.command(provider_id, help=summary.replace("\n  ", "\n").replace("\n- ", "\n\n- "))(
        wrapped
    )


def _refuse_ignored(arguments: Arguments) -> None:
    """Raise :class:`UsageError` for an option that is ignored beside another one."""
    described = arguments.describe not in ("", _OWN)
    if arguments.faults or described:
        used, reason = (
            ("faults", "--faults only lists")
            if arguments.faults
            else ("describe", "--describe FILE only describes")
        )
        for parameter in click.get_current_context().command.params:
            if parameter.name not in (None, used):
                options.refuse(str(parameter.name), reason)
    elif arguments.service is None:
        options.refuse("manifest_version", "--service is not given", "add --service")


def _write_evidence(kind: type[AnyProvider], texts: dict[str, str], arguments: Arguments) -> int:
    store = cache_directory(arguments.cache) / "pki"
    provider = kind(kind.options_type.from_text(texts), seed=arguments.seed, pki_dir=store)
    for register, data in arguments.extensions:
        provider.extend(register, data)
    request = _request(provider, arguments)
    made = _answer(provider, request, arguments.fault)
    _write_files(arguments, provider, request, made)
    if arguments.describe == _OWN:
        for name in _BLOBS:
            if getattr(made, name):
                print_description(name, getattr(made, name))
    return 0


def _provider_option(info: OptionInfo) -> Callable[[Callable[..., int]], Callable[..., int]]:
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


def _common_options() -> list[Callable[[Callable[..., int]], Callable[..., int]]]:
    return [
        click.option(
            "--inblob", type=_Hex(), help="Nonce in hexadecimal. [default: 64 random bytes]"
        ),
        click.option(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            default=Path("tsm-harness-evidence"),
            show_default=True,
            help="Directory for the files; created if it does not exist.",
        ),
        click.option("--force", is_flag=True, help="Write into a directory that is not empty."),
        click.option("--privlevel", type=int, help="Privilege level. [default: the guest's own]"),
        click.option("--service", help="Attest services of the SVSM: all, or the GUID of one."),
        click.option(
            "--manifest-version", type=int, default=0, help="Version of the service's manifest."
        ),
        click.option(
            "--extend",
            "extensions",
            multiple=True,
            type=_Extension(),
            metavar="REGISTER=HEX",
            help="Extend a runtime measurement register before the request. Repeatable.",
        ),
        click.option(
            "--fault", default="", metavar="NAME[:KEY=VALUE,...]", help="Inject this fault."
        ),
        click.option("--faults", is_flag=True, help="List the provider's faults and exit."),
        click.option(
            "--describe",
            default="",
            is_flag=False,
            flag_value=_OWN,
            metavar="[FILE]",
            help="Decode and print the written blobs; with FILE, decode that instead.",
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


def _text(value: str | bool) -> str:
    return value if isinstance(value, str) else ("yes" if value else "no")


def _request(provider: AnyProvider, arguments: Arguments) -> ReportRequest:
    service, level = arguments.service, arguments.privlevel
    try:
        guid = UUID(int=0) if service in (None, "all") else UUID(service)
    except ValueError:
        raise UsageError(f"a service is all or a GUID; not {service!r}") from None
    return ReportRequest(
        id=1,
        inblob=secrets.token_bytes(64) if arguments.inblob is None else arguments.inblob,
        privlevel=provider.privlevel_floor if level is None else level,
        service_provider=None if service is None else b"svsm",
        service_guid=guid.bytes_le,
        manifest_version=arguments.manifest_version,
    )


def _answer(provider: AnyProvider, request: ReportRequest, fault: str) -> Evidence:
    name, texts = split_spec(fault)
    params = provider.faults.find(name).parse(texts) if name else {}
    answer = provider.answer(request, name, params)
    if answer.refusal is not None:
        raise UsageError(
            f"{provider.id} gives no evidence for this request: {answer.refusal.reason}"
            f" ({answer.refusal.status.name})",
            hint="in a guest, the kernel's driver refuses this request with that status",
        )
    assert answer.evidence is not None
    return answer.evidence


def _write_files(
    arguments: Arguments, provider: AnyProvider, request: ReportRequest, made: Evidence
) -> None:
    out = arguments.out
    state = json.dumps(provider.get_state(), indent=1).encode() + b"\n"
    blobs = {name: getattr(made, name) for name in _BLOBS}
    files = {
        "inblob": request.inblob,
        **{name: blob for name, blob in blobs.items() if blob or name == "outblob"},
        **provider.collateral(),
        "state.json": state,
    }
    try:
        if out.is_dir() and any(out.iterdir()) and not arguments.force:
            raise UsageError(f"{out} is not empty", hint="name another --out, or add --force")
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise HostError(f"cannot write the evidence: {error}", hint="name another --out") from error
    for name, content in files.items():
        click.echo(f"{out / name}  {len(content)} bytes")


def _print_faults(faults: Iterable[ProviderFault]) -> int:
    for fault in faults:
        click.echo(fault.spec)
        click.echo(f"    {fault.summary}")
        click.echo(f"    The reader gets: {fault.outcome}.")
    return 0


for _provider in available():
    evidence.add_command(_provider_command(_provider))
