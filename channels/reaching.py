"""What a content asks for beyond its values: offers that are decided for each person, codes of which each is given
once, rows of lookups. Liquid's side of it; where they come from is `channels.delivery.values`.

    {% offer "front-page" placement: "email-hero" as pick %}{{ pick.title }}{% else %}Nothing today.{% endoffer %}
    {% code "spring-codes" %}
    {{ lookups.products[event.sku].price }}
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import Identifier
from liquid.builtin.tags.for_tag import BreakLoop, ContinueLoop, ForLoop
from liquid.context import RenderContext
from liquid.exceptions import LiquidSyntaxError, LiquidValueError
from liquid.expression import Expression
from liquid.parser import get_parser
from liquid.stream import TokenStream
from liquid.tag import Tag
from liquid.token import TOKEN_EXPRESSION, TOKEN_TAG, Token
from markupsafe import Markup, escape

OFFERS, CODES, LOOKUPS = "$offers", "$codes", "lookups"
"""Where the values of a render have them: slot → items, pool → code, and the root that content writes."""

_KEY = r"[\"']([-a-zA-Z0-9_]{1,60})[\"']"
_OFFER = re.compile(rf"\s*{_KEY}\s*,?\s*placement\s*:\s*{_KEY}(?:\s+as\s+([a-zA-Z_]\w*))?\s*")
_CODE = re.compile(rf"\s*{_KEY}\s*")
_RESERVED = {"profile", "event", "context", "brand", "lookups", "unsubscribe_url", "preferences_url"}


class Slot(NamedTuple):
    """A policy and the placement that its items are shown in."""

    policy: str
    placement: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What contents ask for. `slots` and `pools` are sorted."""

    slots: tuple[Slot, ...] = ()
    pools: tuple[str, ...] = ()
    reads_lookups: bool = False

    def __bool__(self) -> bool:
        return bool(self.slots or self.pools or self.reads_lookups)

    @classmethod
    def all(cls, needs: Iterable[Needs]) -> Needs:
        several = list(needs)
        return cls(
            tuple(sorted({slot for one in several for slot in one.slots})),
            tuple(sorted({pool for one in several for pool in one.pools})),
            any(one.reads_lookups for one in several),
        )


class AuthoredHtml(Markup):
    """HTML that somebody wrote for an offer: put into HTML as it stands, into a text as its words."""


class OfferNode(Node):
    """Its block once for each item that was chosen, else the other one."""

    __slots__ = ("block", "default", "name", "slot")

    def __init__(
        self, token: Token, slot: Slot, name: str, block: BlockNode, default: BlockNode | None
    ) -> None:
        super().__init__(token)
        self.slot, self.name, self.block, self.default = slot, name, block, default
        self.blank = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        items = context.globals.get(OFFERS, {}).get(self.slot, ())  # type: ignore[attr-defined]
        if not items:
            return self.default.render(context, buffer) if self.default else 0
        loop = ForLoop(self.name, iter(items), len(items), context.parentloop())
        namespace: dict[str, object] = {"forloop": loop, self.name: None}
        size = 0
        with context.loop(namespace, loop):
            for item in loop:
                namespace[self.name] = item
                try:
                    size += self.block.render(context, buffer)
                except ContinueLoop:
                    continue
                except BreakLoop:
                    break
        return size

    def children(self, static_context: RenderContext, *, include_partials: bool = True) -> Iterable[Node]:
        yield self.block
        if self.default:
            yield self.default

    def block_scope(self) -> Iterator[Identifier]:
        yield Identifier(self.name, token=self.token)
        yield Identifier("forloop", token=self.token)


class OfferTag(Tag):
    name = sys.intern("offer")
    end = sys.intern("endoffer")

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        found = _OFFER.fullmatch(_expression(stream))
        if found is None:
            raise LiquidSyntaxError(
                'an offer is written like {% offer "policy" placement: "placement" as pick %}', token=token
            )
        name = found[3] or "offer"
        if name in _RESERVED:
            raise LiquidSyntaxError(f"{name} is the name of something else here; choose another", token=token)
        next(stream)
        parse_block = get_parser(self.env).parse_block
        block = parse_block(stream, frozenset(("endoffer", "else")))
        default = None
        if stream.current.is_tag("else"):
            next(stream)
            default = parse_block(stream, frozenset(("endoffer",)))
        stream.expect(TOKEN_TAG, value=self.end)
        return OfferNode(token, Slot(found[1], found[2]), name, block, default)


class CodeNode(Node):
    """A code of a pool: the same one wherever it stands in a message."""

    __slots__ = ("pool",)

    def __init__(self, token: Token, pool: str) -> None:
        super().__init__(token)
        self.pool = pool
        self.blank = False

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        code = context.globals.get(CODES, {}).get(self.pool)  # type: ignore[attr-defined]
        if not code:
            raise LiquidValueError(
                f"there is no code of the pool {self.pool} for this message", token=self.token
            )
        return buffer.write(escape(code) if context.autoescape else code)

    def expressions(self) -> Iterable[Expression]:
        return ()


class CodeTag(Tag):
    name = sys.intern("code")
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.eat(TOKEN_TAG)
        found = _CODE.fullmatch(_expression(stream))
        if found is None:
            raise LiquidSyntaxError('a code is written like {% code "pool" %}', token=token)
        return CodeNode(token, found[1])


def _expression(stream: TokenStream) -> str:
    return stream.current.value if stream.current.kind == TOKEN_EXPRESSION else ""


def needs_of(nodes: Iterable[Node], static_context: RenderContext, names: Iterable[str]) -> Needs:
    """What these nodes ask for; `names` are those that their template does not define itself."""
    slots, pools, waiting = set(), set(), list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, OfferNode):
            slots.add(node.slot)
        elif isinstance(node, CodeNode):
            pools.add(node.pool)
        waiting += node.children(static_context)
    return Needs(tuple(sorted(slots)), tuple(sorted(pools)), LOOKUPS in names)


Pair = tuple[str, str]
"""A lookup and a key in it."""


class Lookups:
    """The rows of lookups as content reads them. Those that are not known yet are noted in `missing` and are empty."""

    def __init__(self, rows: Mapping[Pair, Mapping[str, object] | None]) -> None:
        self._rows = rows
        self.missing: set[Pair] = set()

    def __getitem__(self, lookup: object) -> Table:
        if not isinstance(lookup, str):
            raise KeyError(lookup)
        return Table(self, lookup)

    def row(self, pair: Pair) -> Mapping[str, object]:
        if pair not in self._rows:
            self.missing.add(pair)
        row = self._rows.get(pair)
        if row is None:
            raise KeyError(pair)
        return row

    def __liquid__(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Table:
    """One lookup: its rows by key."""

    lookups: Lookups
    key: str

    def __getitem__(self, key: object) -> Mapping[str, object]:
        if isinstance(key, bool) or not isinstance(key, str | int | float):
            raise KeyError(key)
        return self.lookups.row((self.key, str(key)))

    def __str__(self) -> str:
        return ""
