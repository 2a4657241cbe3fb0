"""Liquid, the language of content, within limits.

What a template may do is bounded in every direction: its size, the loops, the text it writes, the text its filters
build on the way, and the sum of all of it. Values are plain dictionaries, so no Python attribute can be reached. In
HTML every value is escaped.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from io import StringIO
from typing import Any, TextIO

import liquid
import msgspec
from liquid import exceptions
from liquid.ast import BlockNode, Node
from liquid.builtin.content import ContentNode, Literal
from liquid.builtin.expressions import FilteredExpression, LoopExpression, Path
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.for_tag import BreakLoop, ContinueLoop, ForLoop, ForNode, ForTag
from liquid.context import RenderContext
from liquid.expression import Expression
from liquid.stringify import to_liquid_string
from liquid.template import BoundTemplate
from liquid.token import Token
from liquid.undefined import UNDEFINED, Undefined
from markupsafe import escape

from channels import html
from channels.reaching import LOOKUPS, AuthoredHtml, CodeTag, Needs, OfferTag, needs_of

MAX_SOURCE = 64 * 1024
MAX_OUTPUT = 1024 * 1024
MAX_TEXT = 256 * 1024
"""Characters of one value that a filter takes or makes."""
MAX_ITEMS = 10_000
MAX_INTEGER_BITS = 256
MAX_WORK = 4_000_000
"""Characters written or handled by filters in one render; a loop's turn and a filter's call count as some."""
_LOOP_COST = 100
_FILTER_COST = 50

ROOTS = ("profile", "event", "context", "brand")
"""The names under which content finds its values."""
ADDRESSES = ("unsubscribe_url", "preferences_url")
"""The addresses that each message has of its own."""

_REMOVED_TAGS = ("include", "render", "increment", "decrement")
_REMOVED_FILTERS = ("safe", "escapejs")
_SAFE_SCHEMES = {"http", "https", "mailto", "tel", "sms"}
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]*):")
_SPECIAL = re.compile("[&<>'\"]")
_INVISIBLE = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028\u2029\ufeff]+")


class ContentError(Exception):
    """Why a content cannot be compiled or rendered, as a sentence."""


class Number(float):
    """A JSON number with a fraction that is printed as it was written: 19.90 stays 19.90."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    __hash__ = float.__hash__


decode_values = msgspec.json.Decoder(dict[str, Any], float_hook=Number).decode
"""A JSON object as the values of a template."""


class Context(RenderContext):
    """The state of one render; adds up its work."""

    __slots__ = ("work",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.work = 0

    def spend(self, work: int) -> None:
        self.work += work
        if self.work > MAX_WORK:
            raise exceptions.ResourceLimitError("the template does too much work for one message", token=None)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        super().raise_for_loop_limit(length)
        self.spend(length * _LOOP_COST)

    def assign(self, key: str, val: Any) -> None:
        self.spend(_FILTER_COST + len(self.locals))
        super().assign(key, val)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        return Buffer(self)  # type: ignore[return-value]

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        try:
            return partial(self.env.filters[name], self)
        except KeyError:
            raise exceptions.UnknownFilterError(f"there is no filter named {name}", token=token) from None

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        # Nearly every path goes through plain dictionaries; what does not is left to Liquid's own, slower rules.
        root = path[0]
        for names in self.scope._maps if type(root) is str else ():
            if root in names:
                value = names[root]  # type: ignore[index]
                for segment in path[1:]:
                    if type(value) is not dict or type(segment) is not str or segment not in value:
                        return super().get(path, token=token, default=default)
                    value = value[segment]
                return value
        return super().get(path, token=token, default=default)


class Buffer:
    """Where a render writes to; counts what is written as work."""

    __slots__ = ("_context", "_pieces")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pieces: list[str] = []

    def write(self, text: str) -> int:
        size = len(text)
        context = self._context
        context.work += size
        if context.work > MAX_WORK:
            context.spend(0)
        self._pieces.append(text)
        return size

    def getvalue(self) -> str:
        text = "".join(self._pieces)
        if len(text) > MAX_OUTPUT:
            raise exceptions.OutputStreamLimitError(
                f"the text is longer than {MAX_OUTPUT} characters", token=None
            )
        return text


class _ContentNode(ContentNode):
    __slots__ = ()

    def render(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(self.text)


class _Content(Literal):
    node_class = _ContentNode


class _OutputNode(OutputNode):
    __slots__ = ("evaluate",)

    def __init__(self, token: Token, expression: Expression) -> None:
        super().__init__(token, expression)
        self.evaluate = _evaluator(expression)

    def render(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(self.text(context))

    def text(self, context: RenderContext) -> str:
        value = self.evaluate(context)
        if type(value) is str:
            # The search is cheaper than a copy, and most values have nothing to escape.
            return escape(value) if context.autoescape and _SPECIAL.search(value) else value
        if type(value) is AuthoredHtml and not context.autoescape:
            return html.to_text(value)
        return to_liquid_string(value, context.autoescape)


class _Output(Output):
    node_class = _OutputNode


class _JsonText(str):
    """A text that is JSON already."""

    __slots__ = ()


class _JsonOutputNode(_OutputNode):
    """Writes a value so that it can stand between the quotes of a JSON string; numbers can stand without."""

    __slots__ = ()

    def text(self, context: RenderContext) -> str:
        value = self.evaluate(context)
        if type(value) is _JsonText:
            return value
        return json.dumps(to_liquid_string(value, False), ensure_ascii=False)[1:-1]


class _JsonOutput(_Output):
    node_class = _JsonOutputNode


class _ForNode(ForNode):
    __slots__ = ("evaluate", "name")

    def __init__(
        self, token: Token, expression: LoopExpression, block: BlockNode, default: BlockNode | None = None
    ) -> None:
        super().__init__(token, expression, block, default)
        is_plain = expression.limit is None and expression.offset is None and not expression.reversed
        self.evaluate = _evaluator(expression.iterable) if is_plain else None
        self.name = f"{expression.identifier}-{expression.iterable}"

    def render(self, context: RenderContext, buffer: TextIO) -> int:
        items = self.evaluate(context) if self.evaluate is not None else None
        if type(items) is not list or not items:
            return super().render(context, buffer)
        context.stopindex(self.name, len(items))
        loop = ForLoop(self.name, iter(items), len(items), context.parentloop())
        namespace = {"forloop": loop, self.expression.identifier: None}
        nodes = self.block.nodes if not self.block.blank else [self.block]
        size = 0
        with context.loop(namespace, loop):
            for item in loop:
                namespace[self.expression.identifier] = item
                try:
                    for node in nodes:
                        size += node.render(context, buffer)
                except ContinueLoop:
                    continue
                except BreakLoop:
                    break
        return size


class _For(ForTag):
    node_class = _ForNode


def _evaluator(expression: Expression) -> Callable[[RenderContext], object]:
    """The expression as one function: plain paths, which are nearly all, without the detours for nested ones."""
    if isinstance(expression, Path) and all(isinstance(segment, str) for segment in expression.path):
        path, token = list[object](expression.path), expression.token
        return lambda context: context.get(path, token=token)
    if type(expression) is not FilteredExpression:
        return expression.evaluate
    left, filters = _evaluator(expression.left), expression.filters
    if not filters:
        return left

    def filtered(context: RenderContext) -> object:
        value = left(context)
        for each in filters:
            value = each.evaluate(value, context)
        return value

    return filtered


class _BoundTemplate(BoundTemplate):
    context_class = Context


class Environment(liquid.Environment):
    """Liquid with our limits, filters and without the tags that reach for other templates."""

    block_nesting_limit = 30
    context_depth_limit = 30
    loop_iteration_limit = MAX_ITEMS
    local_namespace_limit = 4 * MAX_TEXT
    output_stream_limit = MAX_OUTPUT
    template_class = _BoundTemplate

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for tag in _REMOVED_TAGS:
            del self.tags[tag]
        for name in _REMOVED_FILTERS:
            del self.filters[name]
        self.filters["url"] = _url
        self.add_tag(_Content)
        self.add_tag(_Output)
        self.add_tag(_For)
        self.add_tag(OfferTag)
        self.add_tag(CodeTag)
        self.filters["json"] = _json
        for name, function in self.filters.items():
            self.filters[name] = _bounded(name, function)


class JsonEnvironment(Environment):
    """Liquid whose values are escaped for JSON texts."""

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.add_tag(_JsonOutput)


class Template:
    """A compiled source. `parts` are its literals and its moving parts in order: `begin` a render, `fill` each."""

    def __init__(
        self, source: str, *, is_html: bool, is_json: bool = False, max_source: int = MAX_SOURCE
    ) -> None:
        """In HTML and in JSON values are escaped. Raises ContentError with the line and the remedy."""
        if len(source) > max_source:
            raise ContentError(f"It has {len(source)} characters; shorten it to {max_source} or fewer.")
        environment = _HTML if is_html else _JSON if is_json else _TEXT
        try:
            self._bound = environment.from_string(source)
        except exceptions.LiquidError as error:
            raise ContentError(_broken_output(environment, source) or explain(error)) from error
        except RecursionError as error:
            raise ContentError("Its expressions are nested too deeply; split them with assign.") from error
        self._is_html = is_html
        self.parts: tuple[str | Node, ...] = tuple(_parts(self._bound.nodes))

    @cached_property
    def needs(self) -> Needs:
        """What has to be found out before it can be rendered."""
        return needs_of(self._bound.nodes, Context(self._bound), self.names())

    def names(self) -> set[str]:
        """The names that it does not define itself."""
        return set(self._bound.analyze().globals)

    def problems(self) -> Iterator[str]:
        """What compiles but cannot mean anything: unknown filters and unknown names, each as a sentence."""
        analysis = self._bound.analyze()
        for name, spans in analysis.filters.items():
            if name not in self._bound.env.filters:
                yield f"Line {self._line(spans[0].index)}: there is no filter named {name}. {_did_you_mean(name)}"
        for name, variables in analysis.globals.items():
            if name not in ROOTS and name not in ADDRESSES and name != LOOKUPS:
                line = self._line(variables[0].span.index)
                yield (
                    f"Line {line}: {name} is not known here and would stay empty."
                    f" Write profile.{name}, event.{name} or context.{name}, or assign it first."
                )

    def _line(self, index: int) -> int:
        source = next((node.token.source for node in self._bound.nodes), "")
        return source.count("\n", 0, max(index, 0)) + 1

    def begin(self, values: Mapping[str, object]) -> Context:
        return Context(self._bound, globals=values)

    def fill(self, part: Node, context: Context) -> str:
        """The text of one moving part. Raises ContentError."""
        try:
            if type(part) is _OutputNode:
                text = part.text(context)
                context.spend(len(text))
                return text
            buffer = context.get_buffer()
            part.render(context, buffer)
            return buffer.getvalue()
        except exceptions.LiquidError as error:
            raise ContentError(explain(error, part)) from error
        except exceptions.LiquidInterrupt as error:
            raise ContentError("There is a break or continue outside of a loop.") from error
        except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise ContentError(f"A value does not fit where it is used: {error}.") from error

    def render(self, values: Mapping[str, object]) -> str:
        """The whole text. Raises ContentError."""
        context = self.begin(values)
        return "".join(part if isinstance(part, str) else self.fill(part, context) for part in self.parts)


def explain(error: exceptions.LiquidError, part: Node | None = None) -> str:
    """The error as a sentence with its line where that is known."""
    token = error.token or (part.token if part is not None else None)
    message = str(error.message or type(error).__name__).rstrip(".")
    if token is None:
        return f"{message[:1].upper()}{message[1:]}."
    if token.start_index < 0:
        return f"At the end: {message}."
    return f"Line {token.source.count(chr(10), 0, token.start_index) + 1}: {message}."


def _broken_output(environment: Environment, source: str) -> str:
    """The first value that cannot be read, with its line: Liquid gives none for those that end too early."""
    for match in _OUTPUT.finditer(source):
        try:
            environment.from_string(match[0])
        except exceptions.LiquidError as error:
            return f"Line {source.count(chr(10), 0, match.start()) + 1}: {error.message} in {match[0][:80]}."
    return ""


_OUTPUT = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def guard_links(source: str) -> str:
    """Pass every value that begins a link or an image address through the `url` filter, so that no profile's text can
    become a script. Lines keep their numbers."""
    return _LINK_VALUE.sub(r"\1\2 | url \3", source)


_LINK_VALUE = re.compile(
    r"(\b(?:href|src|action|formaction|background|poster)\s*=\s*[\"']?\s*\{\{-?)(.*?)(-?\}\})",
    re.IGNORECASE | re.DOTALL,
)


def _parts(nodes: list[Node]) -> Iterator[str | Node]:
    for node in nodes:
        if isinstance(node, ContentNode):
            yield node.text
        else:
            yield node


def _did_you_mean(name: str) -> str:
    close = difflib.get_close_matches(name, _TEXT.filters, n=1)
    return (
        f"Did you mean {close[0]}?"
        if close
        else "See the documentation of messages for the filters there are."
    )


# --- filters -------------------------------------------------------------------------------------------------


def _url(value: object) -> str:
    """The value if it is an address of the web, of mail or of a phone, or a relative one; nothing otherwise."""
    text = _INVISIBLE.sub("", "" if value is None else str(value))
    scheme = _SCHEME.match(text)
    return "" if scheme and scheme[1].lower() not in _SAFE_SCHEMES else text


def _json(value: object) -> str:
    """The value as JSON: a text with its quotes, a list, an object, null."""
    return _JsonText(msgspec.json.encode(value, enc_hook=_as_json).decode())


def _as_json(value: object) -> object:
    if isinstance(value, Number):
        return msgspec.Raw(value.text.encode())
    if isinstance(value, Undefined):
        return None
    raise ValueError(f"{type(value).__name__} has no form in JSON")


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter with its work counted, its input and output limited, and any failure a Liquid error."""
    wants_context = getattr(function, "with_context", False)
    wants_environment = getattr(function, "with_environment", False)
    expect = _GROWTH.get(name)

    def bounded(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        work = _FILTER_COST + _size(name, value)
        for argument in args:
            work += _size(name, argument)
        context.spend(work)
        if expect is not None and expect(value, *args) > MAX_TEXT:
            raise _too_large(name)
        if wants_context:
            kwargs["context"] = context
        if wants_environment:
            kwargs["environment"] = context.env
        try:
            result = function(value, *args, **kwargs)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise exceptions.FilterError(
                f"the filter {name} cannot take this value: {error}", token=None
            ) from error
        _size(name, result)
        return result

    return bounded


def _size(name: str, value: object) -> int:
    """How large a value is, or a refusal when it is larger than filters may handle."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise _too_large(name)
        return len(value)
    if isinstance(value, (list, tuple, range)):
        if len(value) > MAX_ITEMS:
            raise _too_large(name)
        return len(value)
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise _too_large(name)
    return 1


def _too_large(name: str) -> exceptions.ResourceLimitError:
    return exceptions.ResourceLimitError(f"the filter {name} meets a value that is too large", token=None)


# How long the result will be, for the filters that could build gigabytes before anybody can look at it.


def _length(value: object) -> int:
    return len(value) if isinstance(value, str) else len(str(value))


def _replaced(value: object, old: object = "", new: object = "", *_: object) -> int:
    text = str(value)
    return len(text) + text.count(str(old)) * _length(new)


def _joined(value: object, separator: object = " ", *_: object) -> int:
    items = value if isinstance(value, (list, tuple, range)) else [value]
    return sum(_length(item) for item in items) + len(items) * _length(separator)


def _formatted(value: object, pattern: object = "", *_: object) -> int:
    # strftime knows widths (%9999d), so a long pattern is refused rather than measured
    return MAX_TEXT + 1 if _length(pattern) > 100 or _length(value) > 100 else 0


_GROWTH: dict[str, Callable[..., int]] = {"replace": _replaced, "join": _joined, "date": _formatted}

_HTML = Environment(autoescape=True)
_TEXT = Environment(autoescape=False)
_JSON = JsonEnvironment(autoescape=False)
