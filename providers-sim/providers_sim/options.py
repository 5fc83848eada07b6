# SPDX-License-Identifier: MIT
"""The variants of a provider: a frozen dataclass that words, JSON and Python all can fill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from providers_sim.errors import ProviderError

__all__ = ["OptionInfo", "Options", "option", "parse_word"]

_TRUE, _FALSE = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


def option(default: Any, words: str) -> Any:  # noqa: ANN401 - what dataclasses.field gives
    """Declare one option: its default, and one line that says what it is."""
    return field(default=default, metadata={"help": words})


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """What a command line needs to know of an option; ``choices`` is empty when any value goes."""

    name: str
    kind: type
    choices: tuple[object, ...]
    default: object
    help: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every provider can be told; subclasses add their variants.

    A member's type is ``int``, ``bool``, ``str`` or a ``Literal`` of those.
    """

    name: str = option("", "Name to register with; empty: the name of the kernel's own driver.")
    root: int = option(0, "Number of the test PKI that the keys chain to.")

    def __post_init__(self) -> None:
        for info in self.infos():
            value = getattr(self, info.name)
            if type(value) is not info.kind or (info.choices and value not in info.choices):
                wanted = ", ".join(map(str, info.choices)) or f"of type {info.kind.__name__}"
                raise ProviderError(f"option {info.name} is {wanted}; not {value!r}")
        self.check()

    def check(self) -> None:
        """Raise ProviderError when members that are each good do not go together."""

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
    def from_words(cls, words: Mapping[str, str]) -> Self:
        """Make options from text, as a command line has it; ProviderError when it means nothing."""
        infos = {info.name: info for info in cls.infos()}
        values: dict[str, Any] = {}
        for key, word in words.items():
            name = key.replace("-", "_")  # as a command line spells it
            if name not in infos:
                raise ProviderError(f"there is no option {key!r}; there are: {', '.join(infos)}")
            values[name] = parse_word(name, infos[name].kind, word)
        return cls(**values)

    @classmethod
    def from_state(cls, state: object) -> Self:
        """Make options from what ``to_state`` gave; ProviderError when it is something else."""
        names = {item.name for item in fields(cls)}
        if not isinstance(state, dict) or set(state) != names:
            raise ProviderError(f"these are not the options {', '.join(sorted(names))}: {state!r}")
        return cls(**state)

    def to_state(self) -> dict[str, object]:
        """Return the members as JSON can carry them."""
        return asdict(self)


def parse_word(name: str, kind: type, word: str) -> int | bool | str | float:
    """Turn the text of one option or parameter into its type; ProviderError when it is none."""
    try:
        if kind is bool:
            if word.lower() not in _TRUE + _FALSE:
                raise ValueError
            return word.lower() in _TRUE
        if kind is int:
            return int(word, 0)
        return float(word) if kind is float else word
    except ValueError:
        raise ProviderError(f"{name} is of type {kind.__name__}; not {word!r}") from None
