"""Jinja's code generator, made for mails: constants are ready bytes, and fields are looked up all at once.

A compiled template yields tuples of pieces. For each it asks for its values as they nearly always are, texts in dicts
that need no care; where they are not, for each of them as Jinja would. What a template may say is checked before
(walk.py), and whatever is not a plain dict goes through the environment (sandbox.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.visitor import NodeTransformer

from campaigns.content.portions import click, is_click, is_field, is_value, portions
from campaigns.content.settled import CLICK_ROOM, FIRST, Layout
from channels.contract import Lines

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
        found = _CLICK.fullmatch(node.name)
        return click(int(found[1]), node.lineno) if found else node


class PieceGenerator(CodeGenerator):
    """Used by the environment of content."""

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802
        self._layout = Layout(node)
        super().visit_Template(node, frame)

    def pull_dependencies(self, nodes: Iterable[nodes.Node]) -> None:
        super().pull_dependencies(nodes)
        self.writeline("budget, (clicks, widest) = context.budget, context.clicks")
        self.writeline("ready, careful = environment.form.ready, environment.form.careful")
        self.writeline(f"budget.settled = {self._layout.settled} and widest <= {CLICK_ROOM}")

    def visit_Output(self, node: nodes.Output, frame: Frame) -> None:  # noqa: N802
        for portion in portions(node.nodes):
            self._portion(portion, frame)

    def _portion(self, portion: Sequence[nodes.Expr], frame: Frame) -> None:
        pieces = [self._piece(child) for child in portion]
        values = [(child, piece) for child, piece in zip(portion, pieces, strict=True) if is_value(child)]
        between = _between(portion)
        if values:
            self._look_up(values, between, frame)
        else:
            self.writeline(f"budget.left -= {between}")
        for child, piece in zip(portion, pieces, strict=True):
            if self._layout.begins(child):
                self.writeline(f"if {piece}[:1] in {FIRST}: budget.settled = False")
        self.writeline(f"yield ({''.join(f'{piece}, ' for piece in pieces)})", portion[0] if portion else None)

    def _piece(self, child: nodes.Expr) -> str:
        """The expression for a constant or a tracked address; the name for a value."""
        if isinstance(child, nodes.TemplateData):
            return repr(Lines.of(child.data).raw)
        return f"clicks[{child.arg.as_const()}]" if is_click(child) else self.temporary_identifier()

    def _look_up(self, values: Sequence[tuple[nodes.Expr, str]], between: str, frame: Frame) -> None:
        """What is more than a field is computed first, and once."""
        for value, name in values:
            if not is_field(value):
                self.writeline(f"{name} = ", value)
                self.visit(value, frame)
        names = "".join(f"{name}, " for _, name in values)
        quickly = "".join(f"{_in_dicts(value, frame) if is_field(value) else name}, " for value, name in values)
        self.writeline(f"try: {names}= ready(budget, ({quickly}), {between})")
        self.writeline(f"except (LookupError, TypeError, ValueError): {names}= careful(budget, (")
        for value, name in values:
            if is_field(value):
                self.visit(value, frame)
            else:
                self.write(name)
            self.write(", ")
        self.write(f"), {between})")

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802
        """What is in a dict is taken from it; the rest (nothing there, a loop's counters) by the environment."""
        record, value = self.temporary_identifier(), self.temporary_identifier()
        self.write(f"({value} if type({record} := ")
        self.visit(node.node, frame)
        self.write(f") is dict and ({value} := {record}.get({node.attr!r})) is not None")
        self.write(f" else environment.getattr({record}, {node.attr!r}))")


def _between(portion: Sequence[nodes.Expr]) -> str:
    """How many bytes stand between a portion's values."""
    constant = sum(len(Lines.of(child.data).raw) for child in portion if isinstance(child, nodes.TemplateData))
    clicks = sum(map(is_click, portion))
    return f"{constant} + {clicks} * widest" if clicks else f"{constant}"


def _in_dicts(field: nodes.Expr, frame: Frame) -> str:
    """A field where every part is a dict that has it."""
    if isinstance(field, nodes.Getattr):
        return f"{_in_dicts(field.node, frame)}[{field.attr!r}]"
    assert isinstance(field, nodes.Name)
    return frame.symbols.ref(field.name)
