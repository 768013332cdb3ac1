"""Jinja's code generator, made for mails: constants are ready bytes, and a field is a look into a dict.

A compiled template yields tuples of pieces. What a template may say is checked before (walk.py), and whatever is not a
plain dict still goes through the environment (sandbox.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeGuard

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.visitor import NodeTransformer

from channels.contract import Lines

CLICKS = "_clicks"  # in a template's values: its tracked addresses as they stand in it, ready bytes
AT_ONCE = 16  # values between two looks at the limits, where
COMPUTED = 4  # says as how many one counts that is more than a field

_CLICK = re.compile(r"_c(\d+)")


class Rewriter(NodeTransformer):
    """`~`, and loops that may turn without any output, go through filters that count; the variables of tracked links
    become places in one list."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the visitor's naming
        self.generic_visit(node)
        if node.test is None and any(isinstance(child, nodes.Output) for child in node.body):
            return node
        node.iter = nodes.Filter(node.iter, "_each", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        first, *others = node.nodes
        return nodes.Filter(first, "_joined", others, [], None, None, lineno=node.lineno)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802
        if not (found := _CLICK.fullmatch(node.name)):
            return node
        clicks = nodes.Name(CLICKS, "load", lineno=node.lineno)
        return nodes.Getitem(clicks, nodes.Const(int(found[1])), "load", lineno=node.lineno)


class PieceGenerator(CodeGenerator):
    """Used by the environment of content."""

    def pull_dependencies(self, nodes: Iterable[nodes.Node]) -> None:
        super().pull_dependencies(nodes)
        self.writeline("show, special = environment.show, environment.special")

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802
        for children in _portions(node.nodes):
            self.writeline("yield (", node)
            for child in children:
                self._piece(child, frame)
                self.write(", ")
            self.write(")")

    def _piece(self, child: nodes.Expr, frame: Frame) -> None:
        if isinstance(child, nodes.TemplateData):
            self.write(repr(Lines.of(child.data).raw))
        elif _is_click(child):
            self.visit(child.node, frame)
            self.write("[")
            self.visit(child.arg, frame)
            self.write("]")
        else:
            self.write("(value.encode() if type(value := ")
            self.visit(child, frame)
            self.write(") is str and not special(value) else show(value))")

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802
        """What is in a dict is taken from it; the rest (nothing there, a loop's counters) by the environment."""
        record, value = self.temporary_identifier(), self.temporary_identifier()
        self.write(f"({value} if type({record} := ")
        self.visit(node.node, frame)
        self.write(f") is dict and ({value} := {record}.get({node.attr!r})) is not None")
        self.write(f" else environment.getattr({record}, {node.attr!r}))")


def _is_click(child: nodes.Expr) -> TypeGuard[nodes.Getitem]:
    return isinstance(child, nodes.Getitem) and isinstance(child.node, nodes.Name) and child.node.name == CLICKS


def _portions(children: Sequence[nodes.Expr]) -> Iterator[list[nodes.Expr]]:
    """Not more work in each than AT_ONCE, with the constants around."""
    portion: list[nodes.Expr] = []
    work = 0
    for child in children:
        more = 0 if isinstance(child, nodes.TemplateData) or _is_click(child) else _weight(child)
        if work + more > AT_ONCE:
            yield portion
            portion, work = [], 0
        portion.append(child)
        work += more
    yield portion


def _weight(value: nodes.Expr) -> int:
    return 1 if isinstance(value, nodes.Name | nodes.Getattr) else COMPUTED
