"""The names that a template uses, and everything in it that is not possible."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from jinja2 import TemplateSyntaxError, nodes
from jinja2.environment import Environment

from campaigns.content.filters import FILTERS
from campaigns.content.names import Shape
from campaigns.content.walk import Usage, Walk
from runtime.errors import Problem

MAX_NODES = 20_000
MAX_DEPTH = 100  # walking, compiling and rendering stay well within Python's stack, wherever they run
TOO_DEEP = "the template is nested too deeply"


def usage_of(
    source: str,
    part: str,
    known: Mapping[str, Shape],
    environment: Environment,
    filters: Collection[str] = FILTERS,
) -> Usage:
    """The names in `source`; every culprit as a Problem with path `part` and its line."""
    usage = Usage()
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as error:
        usage.problems.append(Problem(part, f"line {error.lineno}: {error.message}{_snippet(source, error.lineno)}"))
        return usage
    except RecursionError:
        usage.problems.append(Problem(part, TOO_DEEP))
        return usage
    parts, depth = _size(tree)
    if parts > MAX_NODES:
        usage.problems.append(Problem(part, f"the template has more than {MAX_NODES} parts"))
    elif depth > MAX_DEPTH:
        usage.problems.append(Problem(part, TOO_DEEP))
    else:
        Walk(part, known, filters, usage).statement(tree, {}, certain=True)
    return usage


def _size(tree: nodes.Node) -> tuple[int, int]:
    """How many nodes a template has, and how deep they lie (a sum of a hundred terms lies a hundred deep)."""
    parts, depth, level = 0, 0, [tree]
    while level:
        parts, depth = parts + len(level), depth + 1
        level = [child for node in level for child in node.iter_child_nodes()]
    return parts, depth


def _snippet(source: str, line: int) -> str:
    lines = source.splitlines()
    text = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    return f" in {text[:80]!r}" if text else ""
