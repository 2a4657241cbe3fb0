"""Text → tree. Every text, however wrong, gives a tree or a LanguageError with its place; nothing else is raised."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from profiles.language import values
from profiles.language.errors import LanguageError, Position
from profiles.language.functions import FUNCTIONS, LITERAL_FUNCTIONS, MAX_ARGUMENTS, Notation
from profiles.language.nodes import (
    MAX_DEPTH,
    MAX_TEXT,
    ROOTS,
    Call,
    Field,
    Items,
    Literal,
    Node,
    children,
    null,
    text,
)
from profiles.language.printer import AND, BINDING, RELATION
from profiles.language.values import Money, Type

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<text>\"(?:[^\"\\\r\n]|\\.)*\"|'(?:[^'\\\r\n]|\\.)*')"
    r"|(?P<symbol>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]])"
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "'": "'", "\\": "\\"}
_INSTEAD = {
    "=": "Write == to compare.",
    "&": "Write && for and.",
    "|": "Write || for or.",
    '"': "Close the text with a quotation mark on the same line.",
    "'": "Close the text with a quotation mark on the same line.",
    "{": "Write a list in square brackets.",
    "matches": "Regular expressions are not offered. Use contains, startsWith or endsWith.",
    "and": "Write && for and.",
    "or": "Write || for or.",
    "not": "Write ! for not.",
    "AND": "Write && for and.",
    "OR": "Write || for or.",
    "NOT": "Write ! for not.",
    "True": "Write true in small letters.",
    "False": "Write false in small letters.",
    "None": "Write null.",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A word of the text. The end of the text is a token of kind "end"."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A tree and the token that stands for each of its nodes, by the node's id()."""

    tree: Node
    source: str
    tokens: dict[int, Token]

    def locate(self, error: LanguageError) -> LanguageError:
        """The error of a check of the tree, with its place in the text."""
        node = self.tree
        for index in error.path:
            node = children(node)[index]
        token = self.tokens[id(node)]
        return error.at(Position.of(self.source, token.offset), token.text)


def parse_syntax(source: str) -> ParsedText:
    """The tree of `source`, its types unchecked. Raises LanguageError."""
    if len(source.encode("utf-8", "surrogatepass")) > MAX_TEXT:
        raise LanguageError(
            f"The expression is longer than {MAX_TEXT:,} bytes.",
            "Split it, or keep long lists of values in an attribute.",
            position=Position(0, 1, 1),
        )
    return _Parser(source).parse()


class _Chain:
    """`a && b && c` while it is read: one call with three arguments, not two calls."""

    def __init__(self, operator: Token, items: list[Node]) -> None:
        self.operator = operator
        self.items = items


class _Parser:
    """Operators are reduced on explicit stacks, so recursion is as deep as the brackets of the text and no deeper."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = self._read_tokens()
        self._next = 0
        self._nesting = 0
        self._token_of: dict[int, Token] = {}

    def parse(self) -> ParsedText:
        tree = self._expression()
        if self._peek.kind != "end":
            self._fail_unexpected()
        return ParsedText(tree, self._source, self._token_of)

    def _read_tokens(self) -> list[Token]:
        tokens, offset = [], 0
        while offset < len(self._source):
            found = _TOKEN.match(self._source, offset)
            if found is None:
                token = Token("symbol", self._source[offset], offset)
                self._fail(
                    token,
                    f"{token.text!r} is not expected here.",
                    _INSTEAD.get(token.text, "Remove it, or put text in quotation marks."),
                )
            if found.lastgroup != "space":
                tokens.append(Token(str(found.lastgroup), found.group(), offset))
            offset = found.end()
        return [*tokens, Token("end", "", offset)]

    @property
    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _takes(self, symbol: str) -> bool:
        """Take the next token if it is this symbol."""
        if self._peek.kind == "symbol" and self._peek.text == symbol:
            self._next += 1
            return True
        return False

    def _expect(self, symbol: str, remedy: str) -> None:
        if not self._takes(symbol):
            self._fail_unexpected(remedy)

    def _fail(self, token: Token, problem: str, remedy: str) -> NoReturn:
        raise LanguageError(
            problem, remedy, position=Position.of(self._source, token.offset), token=token.text
        )

    def _fail_unexpected(self, remedy: str = "Put an operator between two values.") -> NoReturn:
        token = self._peek
        if token.kind == "end":
            self._fail(token, "The expression ends too early.", remedy)
        self._fail(token, f"{token.text:.100} is not expected here.", _INSTEAD.get(token.text, remedy))

    def _build(self, token: Token, make: Callable[[], Node]) -> Node:
        """A node whose own bounds are errors at `token`."""
        try:
            node = make()
        except LanguageError as error:
            raise error.at(Position.of(self._source, token.offset), token.text) from None
        self._token_of[id(node)] = token
        return node

    def _call(self, token: Token, name: str, args: list[Node]) -> Node:
        return self._build(token, lambda: Call(name, tuple(args)))

    def _expression(self) -> Node:
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            self._fail(
                self._peek,
                f"The expression is nested deeper than {MAX_DEPTH} levels.",
                "Split it, or write chains of && and || without brackets.",
            )
        operands: list[Node | _Chain] = [self._operand()]
        operators: list[Token] = []
        while (binding := self._binding(self._peek)) is not None:
            operator = self._take()
            while operators and BINDING[operators[-1].text] >= binding:
                if binding == RELATION and BINDING[operators[-1].text] == RELATION:
                    self._fail(operator, "Comparisons do not chain.", "Write a < b && b < c.")
                self._reduce(operands, operators)
            operators.append(operator)
            operands.append(self._operand())
        while operators:
            self._reduce(operands, operators)
        result = self._closed(operands[0])
        question = self._peek
        if self._takes("?"):
            then = self._expression()
            self._expect(":", "Write condition ? value : other value.")
            result = self._call(question, "?:", [result, then, self._expression()])
        self._nesting -= 1
        return result

    def _binding(self, token: Token) -> int | None:
        return BINDING.get(token.text) if token.kind == "symbol" or token.text == "in" else None

    def _reduce(self, operands: list[Node | _Chain], operators: list[Token]) -> None:
        operator = operators.pop()
        right, left = self._closed(operands.pop()), operands.pop()
        if BINDING[operator.text] > AND:
            operands.append(self._call(operator, operator.text, [self._closed(left), right]))
        elif isinstance(left, _Chain) and left.operator.text == operator.text:
            left.items.append(right)
            operands.append(left)
        else:
            operands.append(_Chain(operator, [self._closed(left), right]))

    def _closed(self, operand: Node | _Chain) -> Node:
        if isinstance(operand, _Chain):
            return self._call(operand.operator, operand.operator.text, operand.items)
        return operand

    def _operand(self) -> Node:
        prefixes = []
        while self._peek.kind == "symbol" and self._peek.text in "!-":
            prefixes.append(self._take())
        following = self._tokens[min(self._next + 1, len(self._tokens) - 1)]
        if prefixes and prefixes[-1].text == "-" and self._peek.kind == "number" and following.text != ".":
            node = self._number(prefixes.pop(), "-" + self._take().text)
        else:
            node = self._with_methods(self._primary())
        for prefix in reversed(prefixes):
            node = self._call(prefix, prefix.text, [node])
        return node

    def _with_methods(self, node: Node) -> Node:
        while self._takes("."):
            name = self._take()
            function = FUNCTIONS.get(name.text)
            if name.kind != "name" or function is None or function.notation is not Notation.METHOD:
                self._fail_unknown(
                    name, [f.name for f in FUNCTIONS.values() if f.notation is Notation.METHOD]
                )
            self._expect("(", f"Write it like {function.example}")
            node = self._call(name, name.text, [node, *self._until(")")])
        if self._peek.text == "[":
            self._fail_unexpected("Elements are picked by number from fields only: profile.tags[0].")
        return node

    def _until(self, closing: str) -> list[Node]:
        """Expressions with commas between them, up to the closing bracket."""
        found: list[Node] = []
        if self._takes(closing):
            return found
        while True:
            if len(found) == MAX_ARGUMENTS:
                self._fail(
                    self._peek, "There are too many values here.", f"Give at most {MAX_ARGUMENTS:,} of them."
                )
            found.append(self._expression())
            if self._takes(closing):
                return found
            self._expect(",", f"Put a comma between values and {closing} after the last one.")

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "number":
            return self._number(token, token.text)
        if token.kind == "text":
            value = self._unquoted(token)
            return self._build(token, lambda: text(value))
        if token.kind == "name":
            return self._named(token)
        if token.kind == "symbol" and token.text == "(":
            node = self._expression()
            self._expect(")", "Close the bracket.")
            return node
        if token.kind == "symbol" and token.text == "[":
            items = self._until("]")
            return self._build(token, lambda: Items(tuple(items)))
        if token.kind != "end":
            self._next -= 1
        return self._fail_unexpected("Write a value here: a field, a number, a text in quotation marks.")

    def _number(self, token: Token, written: str) -> Node:
        value = values.read_decimal(written)
        if value is None or len(written.partition(".")[2].rstrip("0")) > values.SCALE:
            self._fail(
                token,
                f"The number {written:.100} is too large or has too many decimals.",
                f"Use less than 31 digits before the point and at most {values.SCALE} after it.",
            )
        return self._build(token, lambda: Literal(Type.NUMBER, value))

    def _named(self, token: Token) -> Node:
        name = token.text
        if name in ("true", "false"):
            return self._build(token, lambda: Literal(Type.BOOLEAN, name == "true"))
        if name == "null":
            return self._build(token, null)
        if name in ROOTS:
            return self._field(token)
        if name in LITERAL_FUNCTIONS:
            return self._literal(token)
        function = FUNCTIONS.get(name)
        if function is not None and function.notation is Notation.METHOD:
            self._fail(token, f"{name} stands after a value.", f"Write it like {function.example}")
        if function is None or function.notation is Notation.OPERATOR:
            functions = [f.name for f in FUNCTIONS.values() if f.notation is Notation.FUNCTION]
            self._fail_unknown(token, [*ROOTS, *functions, *LITERAL_FUNCTIONS, "true", "false", "null"])
        self._expect("(", f"Write it like {function.example}")
        return self._call(token, name, self._until(")"))

    def _fail_unknown(self, token: Token, known: list[str]) -> NoReturn:
        near = difflib.get_close_matches(token.text[:50], known, n=1)
        instead = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
        self._fail(token, f"{token.text[:50]!r} is not known here.", _INSTEAD.get(token.text, instead))

    def _field(self, root: Token) -> Node:
        path: list[str | int] = []
        while True:
            following = self._tokens[min(self._next + 2, len(self._tokens) - 1)]
            if self._peek.text == "." and (following.text != "(" or following.kind != "symbol"):
                self._take()
                if self._peek.kind != "name":
                    self._fail_unexpected('Write a name after the point; others go in brackets: ["a b"].')
                path.append(self._take().text)
            elif (path and self._peek.text == ".") or self._peek.text != "[":
                break
            else:
                self._take()
                name = self._take()
                if name.kind == "text":
                    path.append(self._unquoted(name))
                elif name.kind == "number" and "." not in name.text:
                    path.append(int(name.text[:20]))
                else:
                    self._fail(
                        name,
                        "A field is named by a text in quotation marks, an element of a list by a number.",
                        'Write profile["first name"] or profile.tags[0].',
                    )
                self._expect("]", "Close the bracket after the name.")
        if not path:
            self._fail(
                root, f"{root.text} is a whole document.", f"Name {ROOTS[root.text]}: {root.text}.name"
            )
        return self._build(root, lambda: Field(root.text, tuple(path)))

    def _literal(self, token: Token) -> Node:
        literal = LITERAL_FUNCTIONS[token.text]
        remedy = f"Write it like {literal.example}"
        given: list[str] = []
        self._expect("(", remedy)
        for index in range(literal.arguments):
            if index:
                self._expect(",", remedy)
            if self._peek.kind != "text":
                self._fail_unexpected(remedy)
            given.append(self._unquoted(self._take()))
        self._expect(")", remedy)
        node = self._build(token, lambda: _made(token.text, given) or null())
        if isinstance(node, Literal) and node.type is Type.NULL:
            self._fail(token, f"{', '.join(given):.100} is not a {literal.label} within bounds.", remedy)
        return node

    def _unquoted(self, token: Token) -> str:
        def replace(found: re.Match[str]) -> str:
            short, long, character = found.groups()
            code = int(short or long, 16) if character is None else -1
            if code > 0x10FFFF or (character is not None and character not in _ESCAPED):
                place = Token("text", found.group(), token.offset + 1 + found.start())
                self._fail(
                    place,
                    f"{place.text} is not an escape.",
                    'Use \\n, \\r, \\t, \\", \\\\ or \\u with four digits.',
                )
            return _ESCAPED[character] if character is not None else chr(code)

        return _ESCAPE.sub(replace, token.text[1:-1])


def _made(name: str, given: list[str]) -> Literal | None:
    """The literal that `name` makes of the texts `given`; None when they are out of its domain."""
    if name == "duration":
        length = values.read_duration(given[0])
        return Literal(Type.DURATION, length) if length is not None else None
    if name == "money":
        amount = values.read_decimal(given[0])
        if amount is None or not values.is_currency(given[1]):
            return None
        return Literal(Type.MONEY, Money(amount, given[1]))
    moment = values.read_time(given[0])
    if moment is None or (name == "date" and len(given[0]) != len("2026-01-31")):
        return None
    return Literal(Type.TIME, moment)
