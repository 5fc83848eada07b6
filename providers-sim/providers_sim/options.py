# SPDX-License-Identifier: MIT
"""Options of a provider: a frozen dataclass that command lines, JSON and Python code can fill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from providers_sim.errors import ProviderError
from tsmw.constants import MAX_NAME

__all__ = ["OptionInfo", "Options", "hex_size", "option", "parse_value", "split_spec"]

_TRUE, _FALSE = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


def option(default: Any, description: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare an option with its default value and a one-line description."""
    return field(default=default, metadata={"help": description})


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """Description of an option for a command line; ``choices`` is empty when any value is valid."""

    name: str
    kind: type
    choices: tuple[object, ...]
    default: object
    help: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options that every provider has; each provider adds its own in a subclass.

    A member's type is ``int``, ``bool``, ``str`` or a ``Literal`` of those.
    """

    name: str = option("", "Name to register with; empty: the name of the kernel's own driver.")
    root: int = option(0, "Number of the test PKI whose root signs the evidence.")

    def __post_init__(self) -> None:
        for info in self.infos():
            value = getattr(self, info.name)
            if type(value) is not info.kind or (info.choices and value not in info.choices):
                wanted = ", ".join(map(str, info.choices)) or f"of type {info.kind.__name__}"
                raise ProviderError(f"option {info.name} is {wanted}; not {value!r}")
        if len(self.name) > MAX_NAME or not self.name.isascii() or "\0" in self.name:
            raise ProviderError(
                f"option name is at most {MAX_NAME} ASCII characters without NUL; not {self.name!r}"
            )
        self.check()

    def check(self) -> None:
        """Raise ProviderError when the members contradict each other; subclasses override it."""

    @classmethod
    def infos(cls) -> list[OptionInfo]:
        """Return every option, the common ones last."""
        hints = get_type_hints(cls)
        common = {item.name for item in fields(Options)}
        ordered = sorted(fields(cls), key=lambda item: item.name in common)
        found = []
        for item in ordered:
            choices = get_args(hints[item.name]) if get_origin(hints[item.name]) is Literal else ()
            kind = type(choices[0]) if choices else hints[item.name]
            found.append(OptionInfo(item.name, kind, choices, item.default, item.metadata["help"]))
        return found

    @classmethod
    def from_text(cls, values: Mapping[str, str]) -> Self:
        """Parse the values that a command line gives; ProviderError on an unknown name or value."""
        infos = {info.name: info for info in cls.infos()}
        parsed: dict[str, Any] = {}
        for key, text in values.items():
            name = key.replace("-", "_")  # command lines spell names with dashes
            if name not in infos:
                raise ProviderError(f"there is no option {key!r}; there are: {', '.join(infos)}")
            parsed[name] = parse_value(name, infos[name].kind, text)
        return cls(**parsed)

    @classmethod
    def from_state(cls, state: object) -> Self:
        """Make options from the result of ``to_state``; ProviderError when it is malformed."""
        names = {item.name for item in fields(cls)}
        if not isinstance(state, dict) or set(state) != names:
            raise ProviderError(f"these are not the options {', '.join(sorted(names))}: {state!r}")
        return cls(**state)

    def to_state(self) -> dict[str, object]:
        """Return the members as a dictionary that JSON can represent."""
        return asdict(self)


def hex_size(text: str) -> int:
    """Return the number of bytes that ``text`` has in hexadecimal, -1 when it is invalid."""
    try:
        return len(bytes.fromhex(text))
    except ValueError:
        return -1


def split_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Split ``NAME[:KEY[=VALUE],...]`` into name and parameters; a KEY alone is "yes"."""
    name, _, parameters = spec.partition(":")
    pairs = [item.partition("=") for item in parameters.split(",")] if parameters else []
    return name, {key.strip(): value if equals else "yes" for key, equals, value in pairs}


def parse_value(name: str, kind: type, text: str) -> Any:  # noqa: ANN401 - an instance of kind
    """Parse the text of one option or parameter as ``kind``; ProviderError when it is invalid."""
    if issubclass(kind, Enum):
        if text.upper() not in kind.__members__:
            raise ProviderError(f"{name} is one of {', '.join(kind.__members__)}; not {text!r}")
        return kind[text.upper()]
    try:
        if kind is bool:
            if text.lower() not in _TRUE + _FALSE:
                raise ValueError
            return text.lower() in _TRUE
        if kind is int:
            return int(text, 0)
        return float(text) if kind is float else text
    except ValueError:
        raise ProviderError(f"{name} is of type {kind.__name__}; not {text!r}") from None
