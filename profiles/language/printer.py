"""Tree → text. The text is canonical: parse(print_tree(tree)) == tree, and two equal trees print alike."""

from __future__ import annotations

import re
import unicodedata

from profiles.language import values
from profiles.language.functions import FUNCTIONS, Notation
from profiles.language.nodes import Call, Field, Items, Literal, Node
from profiles.language.values import Type

CONDITIONAL, OR, AND, RELATION, SUM, PRODUCT, UNARY, PRIMARY = range(8)
BINDING = {
    "||": OR,
    "&&": AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), RELATION),
    **dict.fromkeys("+-", SUM),
    **dict.fromkeys("*/%", PRODUCT),
}
"""How tightly each binary operator holds its operands; more is tighter."""

RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
    }
    | {"namespace", "null", "package", "return", "true", "var", "void", "while"}
)
"""Words that CEL keeps for itself: as names of fields they are written in brackets."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def print_tree(tree: Node) -> str:
    """The tree in CEL syntax, on one line."""
    return _print(tree, CONDITIONAL)


def quote(text: str) -> str:
    """`text` in double quotes. What cannot be seen, or turns the direction of writing, is escaped for reviewers."""
    return f'"{"".join(map(_escape, text))}"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
        code = ord(character)
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character


def _print(node: Node, least: int) -> str:
    """`node`, in round brackets when it binds less than `least`."""
    binding, text = _written(node)
    return text if binding >= least else f"({text})"


def _written(node: Node) -> tuple[int, str]:
    match node:
        case Literal():
            return _literal(node)
        case Field():
            return PRIMARY, node.root + "".join(map(_step, node.path))
        case Items():
            return PRIMARY, f"[{_comma_separated(node.items)}]"
        case Call():
            return _call(node)


def _literal(node: Literal) -> tuple[int, str]:
    match node.type:
        case Type.NULL:
            return PRIMARY, "null"
        case Type.TEXT:
            return PRIMARY, quote(node.value)
        case Type.BOOLEAN:
            return PRIMARY, "true" if node.value else "false"
        case Type.NUMBER:
            return UNARY if node.value < 0 else PRIMARY, values.write_decimal(node.value)
        case Type.TIME:
            written = values.write_time(node.value)
            return PRIMARY, f"{'timestamp' if 'T' in written else 'date'}({quote(written)})"
        case Type.DURATION:
            return PRIMARY, f"duration({quote(values.write_duration(node.value))})"
        case _:
            amount = quote(values.write_decimal(node.value.amount))
            return PRIMARY, f"money({amount}, {quote(node.value.currency)})"


def _step(name: str | int) -> str:
    if isinstance(name, int):
        return f"[{name}]"
    return f".{name}" if _IDENTIFIER.fullmatch(name) and name not in RESERVED else f"[{quote(name)}]"


def _comma_separated(nodes: tuple[Node, ...]) -> str:
    return ", ".join(_print(node, CONDITIONAL) for node in nodes)


def _call(node: Call) -> tuple[int, str]:
    name, args = node.name, node.args
    notation = FUNCTIONS[name].notation
    if notation is Notation.FUNCTION:
        return PRIMARY, f"{name}({_comma_separated(args)})"
    if notation is Notation.METHOD:
        return PRIMARY, f"{_print(args[0], PRIMARY)}.{name}({_comma_separated(args[1:])})"
    if name == "?:":
        condition, then, otherwise = args
        return (
            CONDITIONAL,
            f"{_print(condition, OR)} ? {_print(then, OR)} : {_print(otherwise, CONDITIONAL)}",
        )
    if len(args) == 1:
        # A minus right before a number belongs to the number.
        is_number = isinstance(args[0], Literal) and args[0].type is Type.NUMBER and args[0].value >= 0
        operand = f"({_print(args[0], CONDITIONAL)})" if name == "-" and is_number else _print(args[0], UNARY)
        return UNARY, f"{name}{operand}"
    binding = BINDING[name]
    if binding <= AND:  # a chain: a member that is a chain itself keeps its brackets
        return binding, f" {name} ".join(_print(arg, binding + 1) for arg in args)
    left, right = args
    left_least = binding + 1 if binding == RELATION else binding
    return binding, f"{_print(left, left_least)} {name} {_print(right, binding + 1)}"
