"""What a template puts out at once: constants, tracked addresses, and the values between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeGuard

from jinja2 import nodes

AT_ONCE = 16  # values between two looks at the limits, where
COMPUTED = 4  # says as how many one counts that is more than a field


def click(number: int, lineno: int) -> nodes.Expr:
    """The place of a tracked address."""
    return nodes.Getitem(nodes.ContextReference(), nodes.Const(number), "load", lineno=lineno)


def is_click(child: nodes.Expr) -> TypeGuard[nodes.Getitem]:
    return isinstance(child, nodes.Getitem) and isinstance(child.node, nodes.ContextReference)


def is_field(value: nodes.Expr) -> bool:
    """Whether it is a name, or a part of one by names alone."""
    return isinstance(value, nodes.Name) or (isinstance(value, nodes.Getattr) and is_field(value.node))


def is_value(child: nodes.Expr) -> bool:
    return not (isinstance(child, nodes.TemplateData) or is_click(child))


def portions(children: Sequence[nodes.Expr]) -> Iterator[list[nodes.Expr]]:
    """Not more work in each than AT_ONCE, with the constants around."""
    portion: list[nodes.Expr] = []
    work = 0
    for child in children:
        more = _work(child)
        if work + more > AT_ONCE:
            yield portion
            portion, work = [], 0
        portion.append(child)
        work += more
    yield portion


def _work(child: nodes.Expr) -> int:
    if not is_value(child):
        return 0
    return 1 if isinstance(child, nodes.Name | nodes.Getattr) else COMPUTED
