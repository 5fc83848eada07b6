# SPDX-License-Identifier: MIT
"""What the branches that a path took say of its values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.implementations.symbolic import ADDRESSES, Term, Value

__all__ = ["NEGATED", "Facts"]

_MAX = 1 << 64
_HIGH = (1 << 63) - 1
NEGATED = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
"""Each comparison, with the one that holds where it does not."""
_SWAPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}


@dataclass
class Facts:
    """What is known of terms: an interval with gaps for each, and relations between two."""

    ranges: dict[Term, tuple[int, int, frozenset[int]]] = field(default_factory=dict)
    relations: dict[Term, bool] = field(default_factory=dict)

    def copy(self) -> Facts:
        """An independent copy."""
        return Facts(dict(self.ranges), dict(self.relations))

    def decide(self, code: str, a: Value, b: Value) -> bool | None:
        """Whether ``a code b`` holds; None when it is not known."""
        if isinstance(a, int) and isinstance(b, int):
            return _compare(code, a, b)
        if a == b:
            return code in ("eq", "le", "ge")
        if isinstance(a, int):
            code, a, b = _SWAPPED[code], b, a
        assert isinstance(a, tuple)
        if isinstance(b, int):
            return self._decide_term(code, a, b)
        return self._decide_relation(code, a, b)

    def _decide_relation(self, code: str, a: Term, b: Term) -> bool | None:
        if a[0] in ("obj", "var") and b[0] in ("obj", "var"):
            return {"eq": False, "ne": True}.get(code)
        for same, left, right in ((code, a, b), (_SWAPPED[code], b, a)):
            for key, sign in (((same, left, right), True), ((NEGATED[same], left, right), False)):
                if key in self.relations:
                    return self.relations[key] is sign
        return None

    def _decide_term(self, code: str, a: Term, b: int) -> bool | None:
        if _is_test(code, a, b):
            truth = self.decide(a[1], a[2], a[3])
            return None if truth is None else truth is ((code == "ne") is (b == 0))
        if b == 0 and code in ("eq", "ne") and _are_truths(a):
            return self._decide_both(code, a)
        if a[0] == "add" and abs(b) <= _HIGH:
            return None if a[1][0] in ADDRESSES else self.decide(code, a[1], b - a[2])
        if b > _HIGH and code in ("lt", "le"):
            truth = self._decide_error(NEGATED[code], a, b - _MAX)
            return None if truth is None else not truth
        if b > _HIGH and code in ("gt", "ge"):
            return self._decide_error(code, a, b - _MAX)
        return self._decide_range(code, a, b)

    def _decide_error(self, code: str, a: Term, lowest: int) -> bool | None:
        """An unsigned comparison that only error pointers, from ``lowest`` to -1, fulfil."""
        low, high, _ = self.range_of(a)
        lowest += code == "gt"
        if low >= lowest and high < 0:
            return True
        return False if low >= 0 or high < lowest else None

    def _decide_range(self, code: str, a: Term, b: int) -> bool | None:
        low, high, gaps = self.range_of(a)
        b -= _MAX if b > _HIGH else 0
        if code in ("eq", "ne"):
            if b < low or b > high or b in gaps:
                return code == "ne"
            return (code == "eq") if low == high else None
        ends = {_compare(code, each, b) for each in (low, high)}
        return ends.pop() if len(ends) == 1 else None

    def _decide_both(self, code: str, a: Term) -> bool | None:
        first, second = (self._decide_term("ne", each, 0) for each in a[2:4])
        wanted = a[1] == "bit_ior"
        if first is wanted or second is wanted:
            truth: bool | None = wanted
        elif first is None or second is None:
            truth = None
        else:
            truth = not wanted
        return None if truth is None else truth is (code == "ne")

    def range_of(self, term: Term) -> tuple[int, int, frozenset[int]]:
        """Lowest and highest value, and values in between that it does not have."""
        if term[0] in ADDRESSES or (term[0] == "idx" and term[1][0] in ADDRESSES):
            return (1, _HIGH, frozenset())
        if term[0] == "op" and term[1] in NEGATED:
            return (0, 1, frozenset())
        return self.ranges.get(term, (-_HIGH - 1, _HIGH, frozenset()))

    def assume(self, code: str, a: Value, b: Value) -> Iterator[Facts]:
        """The cases in which ``a code b`` holds, each with what is then known."""
        known = self.decide(code, a, b)
        if known is not None:
            if known:
                yield self
            return
        if isinstance(a, int):
            code, a, b = _SWAPPED[code], b, a
        assert isinstance(a, tuple)
        if not isinstance(b, int):
            after = self.copy()
            after.relations[(code, a, b)] = True
            yield after
        elif _is_test(code, a, b):
            holds = (code == "ne") is (b == 0)
            yield from self.assume(a[1] if holds else NEGATED[a[1]], a[2], a[3])
        elif b == 0 and code in ("eq", "ne") and _are_truths(a):
            yield from self._assume_both(code, a)
        elif a[0] == "add" and abs(b) <= _HIGH:
            yield from self.assume(code, a[1], b - a[2])
        else:
            yield self._narrowed(code, a, b)

    def _assume_both(self, code: str, a: Term) -> Iterator[Facts]:
        together = (a[1] == "bit_and") is (code == "ne")
        wanted = "ne" if code == "ne" else "eq"
        for first in self.assume(wanted, a[2], 0):
            if together:
                yield from first.assume(wanted, a[3], 0)
            else:
                yield first
        if not together:
            for first in self.assume(NEGATED[wanted], a[2], 0):
                yield from first.assume(wanted, a[3], 0)

    def _narrowed(self, code: str, a: Term, b: int) -> Facts:
        after = self.copy()
        low, high, gaps = self.range_of(a)
        if b > _HIGH:
            b -= _MAX
            if code in ("gt", "ge"):
                high = min(high, -1)
            elif code in ("lt", "le"):
                code, b = "ge", 0
        if code == "eq":
            low = high = b
        elif code == "ne":
            gaps |= {b}
        elif code in ("lt", "le"):
            high = min(high, b - (code == "lt"))
        else:
            low = max(low, b + (code == "gt"))
        while low in gaps:
            low += 1
        while high in gaps:
            high -= 1
        after.ranges[a] = (low, high, gaps)
        return after


def _is_test(code: str, a: Term, b: int) -> bool:
    """Whether the comparison asks for the result of another one."""
    return a[0] == "op" and a[1] in NEGATED and b in (0, 1) and code in ("eq", "ne")


def _are_truths(term: Term) -> bool:
    """Whether the term joins the results of two comparisons."""
    return term[:2] in (("op", "bit_and"), ("op", "bit_ior")) and all(
        isinstance(each, tuple) and each[:1] == ("op",) and each[1] in NEGATED for each in term[2:4]
    )


def _compare(code: str, a: int, b: int) -> bool:
    if max(a, b) > _HIGH and code in ("lt", "le", "gt", "ge"):
        a, b = a % _MAX, b % _MAX
    if code in ("eq", "ne"):
        return ((a - b) % _MAX == 0) is (code == "eq")
    return {"lt": a < b, "le": a <= b, "gt": a > b, "ge": a >= b}[code]
