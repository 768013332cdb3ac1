"""A walk over Jinja's syntax tree: what a template uses, and whether it may.

Only what is on a short list passes: fields by literal names, conditions, loops, `set`, a choice of filters and tests.
So the fields to load are known before sending, and an attack has no words to write itself in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from jinja2 import nodes

from campaigns.content.names import VALUE, Listing, Record, Shape, Value, suggestion
from campaigns.content.sandbox import ALLOWED_TESTS, LOOP_COUNTERS
from runtime.errors import Problem

# Filters that take the name of a part: `appliances|map(attribute="model")`.
_BY_ATTRIBUTE = frozenset({"map", "sort", "sum", "max", "min", "unique", "join"})
_SAME_LIST = frozenset({"sort", "reverse", "unique", "list"})
_ONE_OF_LIST = frozenset({"first", "last", "max", "min"})

_COMPUTATIONS = (
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Pow,
    nodes.Neg,
    nodes.Pos,
    nodes.Concat,
    nodes.Compare,
    nodes.Operand,
    nodes.CondExpr,
)
_STRUCTURE = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.If)

_WORDS = {
    nodes.Call: "calls are not possible; use a filter (name|upper instead of name.upper())",
    nodes.AssignBlock: "{% set %} takes a value: {% set name = value %}",
    nodes.Slice: "slices are not possible",
    nodes.Dict: "dictionaries are not possible",
    nodes.ScopedEvalContextModifier: "{% autoescape %} is not possible: personal values are always escaped",
}


@dataclass
class Usage:
    """`fields` by dotted name without `links`; `own` the template's own names (loops, `set`); `links` those of
    `links.*` that stand outside every condition and loop."""

    fields: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Thing:
    """What an expression stands for: its shape and its dotted name; no name for what was computed."""

    shape: Shape
    path: str = ""


COMPUTED = Thing(VALUE)
UNKNOWN = Thing(Record({}, open=True))  # already complained of


class Walk:
    """Statements bind names, expressions use them; `scope` maps the template's own names to what they stand for."""

    def __init__(self, part: str, known: Mapping[str, Shape], filters: Collection[str], usage: Usage) -> None:
        self._part = part
        self._filters = filters
        self._known = known
        self._usage = usage

    def statement(self, node: nodes.Node, scope: dict[str, Thing], *, certain: bool) -> None:
        if isinstance(node, nodes.For):
            self._loop(node, scope)
        elif isinstance(node, nodes.Assign):
            self._bind(node.target, self._expression(node.node, scope, condition=True), scope)
        elif isinstance(node, nodes.If):
            self._expression(node.test, scope, condition=True)
            for child in [*node.body, *node.elif_, *node.else_]:
                self.statement(child, scope, certain=False)
        elif isinstance(node, _STRUCTURE):
            for child in node.iter_child_nodes():
                self.statement(child, scope, certain=certain)
        elif isinstance(node, nodes.Expr):
            thing = self._expression(node, scope)
            if certain and thing.path.startswith("links."):
                self._usage.links.add(thing.path.removeprefix("links."))
        else:
            self._refuse(node)

    def _loop(self, node: nodes.For, scope: dict[str, Thing]) -> None:
        if node.recursive:
            self._complain(node, "recursive loops are not possible")
        over = self._expression(node.iter, scope, condition=True)
        item = over.shape.item if isinstance(over.shape, Listing) else VALUE
        if over.path and not isinstance(over.shape, Listing):
            self._complain(node, f"{over.path} is no list; a loop goes over appliances, orders and the like")
        inner = {**scope, "loop": Thing(Record(dict.fromkeys(LOOP_COUNTERS, VALUE)))}
        self._bind(node.target, Thing(item, over.path), inner)
        if node.test is not None:
            self._expression(node.test, inner, condition=True)
        for child in node.body:
            self.statement(child, inner, certain=False)
        for child in node.else_:
            self.statement(child, dict(scope), certain=False)

    def _bind(self, target: nodes.Node, thing: Thing, scope: dict[str, Thing]) -> None:
        if not isinstance(target, nodes.Name):
            self._complain(target, "only a single name can be set")
        elif target.name in self._known or target.name in ("loop", "range") or target.name.startswith("_"):
            self._complain(target, f"{target.name} cannot be set; choose another name")
        else:
            scope[target.name] = thing
            self._usage.own.add(target.name)

    def _expression(self, node: nodes.Node, scope: dict[str, Thing], *, condition: bool = False) -> Thing:
        """What `node` stands for, its use noted. A record or list may only be asked about (`condition`), not be
        shown."""
        thing = self._named(node, scope)
        if thing is None:
            return self._computed(node, scope, condition)
        if not condition and thing is not UNKNOWN and not isinstance(thing.shape, Value):
            self._complain(node, f"{thing.path} cannot be shown as a whole; name one of its fields")
        self._use(thing)
        return thing

    def _use(self, thing: Thing) -> None:
        if thing.path and not thing.path.startswith(("links", "_")):
            self._usage.fields.add(thing.path)

    def _named(self, node: nodes.Node, scope: dict[str, Thing]) -> Thing | None:
        """What a chain of names stands for; None where `node` is no such chain."""
        if isinstance(node, nodes.Name):
            return self._first_name(node, scope)
        if isinstance(node, nodes.Getattr):
            return self._part_of(node, node.node, node.attr, scope)
        if isinstance(node, nodes.Getitem):
            if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str | int):
                return self._part_of(node, node.node, node.arg.value, scope)
            self._complain(node, "only a literal name or number can stand in [ ]")
            return COMPUTED
        return self._of_list(node, scope) if isinstance(node, nodes.Filter) else None

    def _first_name(self, node: nodes.Name, scope: dict[str, Thing]) -> Thing:
        if node.name in scope:
            return scope[node.name]
        if node.name in self._known:
            return Thing(self._known[node.name], node.name)
        self._complain(node, f"unknown name {node.name}{suggestion(node.name, [*self._known, *scope])}")
        return UNKNOWN

    def _part_of(self, node: nodes.Node, owner: nodes.Node, key: str | int, scope: dict[str, Thing]) -> Thing:
        whole = self._named(owner, scope)
        if whole is None:
            self._complain(node, f"{key} is asked of something computed; only fields have parts")
            self._expression(owner, scope, condition=True)
            return COMPUTED
        if isinstance(key, int):
            if isinstance(whole.shape, Listing):
                return Thing(whole.shape.item, whole.path)
            self._complain(node, f"{whole.path or 'the value'} is no list")
            return COMPUTED
        return self._named_part(node, whole, key)

    def _named_part(self, node: nodes.Node, whole: Thing, key: str) -> Thing:
        path = f"{whole.path}.{key}" if whole.path else ""
        shape = whole.shape
        if key.startswith("_"):
            self._complain(node, f"{path or key}: names that begin with _ are not possible")
        elif isinstance(shape, Record) and key in shape.parts:
            return Thing(shape.parts[key], path)
        elif whole is UNKNOWN:
            return UNKNOWN
        elif isinstance(shape, Record) and shape.open:
            return Thing(VALUE, path)
        elif isinstance(shape, Record):
            known = [f"{whole.path}.{name}" if whole.path else name for name in shape.parts]
            self._complain(node, f"unknown name {path or key}{suggestion(path or key, known)}")
        elif isinstance(shape, Listing):
            self._complain(node, f"{whole.path} is a list: loop over it, or take the first by {whole.path}[0].{key}")
        else:
            self._complain(node, f"{whole.path or 'a computed value'} has no parts such as {key}")
        return UNKNOWN

    def _of_list(self, node: nodes.Filter, scope: dict[str, Thing]) -> Thing | None:
        """Lists stay lists through `sort`, become an element through `first`, a list of parts through `map`."""
        if node.node is None or node.name not in {*_SAME_LIST, *_ONE_OF_LIST, "map"}:
            return None
        base = self._named(node.node, scope)
        if base is None or not isinstance(base.shape, Listing):
            return None
        parts = self._filter_arguments(node, Thing(base.shape.item, base.path), scope)
        if node.name == "map":
            return Thing(Listing(parts.shape), parts.path) if parts is not None else COMPUTED
        return Thing(base.shape.item, base.path) if node.name in _ONE_OF_LIST else base

    def _filter_arguments(self, node: nodes.Filter, item: Thing | None, scope: dict[str, Thing]) -> Thing | None:
        """Check the arguments; what `attribute=` names, of `item`."""
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            self._complain(node, "* and ** are not possible")
        for argument in node.args:
            self._expression(argument, scope)
        named: Thing | None = None
        for pair in node.kwargs:
            if pair.key != "attribute":
                self._expression(pair.value, scope)
            elif item is None or node.name not in _BY_ATTRIBUTE or not isinstance(pair.value, nodes.Const):
                self._complain(node, f"attribute= is not possible with {node.name} here")
            else:
                named = self._named_part(node, item, str(pair.value.value))
                self._use(named)
        if node.name == "map" and (named is None or node.args):
            self._complain(node, 'map is used as map(attribute="name")')
        return named

    def _computed(self, node: nodes.Node, scope: dict[str, Thing], condition: bool) -> Thing:
        if isinstance(node, nodes.Const):
            return COMPUTED
        if isinstance(node, nodes.Filter):
            self._filter(node, scope)
        elif isinstance(node, nodes.Test):
            self._test(node, scope)
        elif isinstance(node, nodes.List | nodes.Tuple):
            if any(not isinstance(child, nodes.Const) for child in node.items):
                self._complain(node, "a list can only hold fixed texts and numbers")
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "range":
            for argument in node.args:
                self._expression(argument, scope)
        elif isinstance(node, _COMPUTATIONS):
            asking = condition or isinstance(node, nodes.And | nodes.Or | nodes.Not | nodes.Compare | nodes.Operand)
            for child in node.iter_child_nodes():
                self._expression(child, scope, condition=asking or child is getattr(node, "test", None))
        else:
            self._refuse(node)
        return COMPUTED

    def _filter(self, node: nodes.Filter, scope: dict[str, Thing]) -> None:
        if node.name not in self._filters:
            self._complain(node, f"unknown filter {node.name}{suggestion(node.name, self._filters)}")
        if node.node is None:
            return
        base = self._expression(node.node, scope, condition=True)
        listed = isinstance(base.shape, Listing)
        self._filter_arguments(
            node, Thing(base.shape.item, base.path) if isinstance(base.shape, Listing) else None, scope
        )
        if isinstance(base.shape, Record) or (
            listed and node.name not in {"length", "count", "join", "sum", "default", "d"}
        ):
            self._complain(node, f"{node.name} is not possible with {base.path} as a whole")

    def _test(self, node: nodes.Test, scope: dict[str, Thing]) -> None:
        if node.name not in ALLOWED_TESTS:
            self._complain(node, f"unknown test {node.name}{suggestion(node.name, ALLOWED_TESTS)}")
        self._expression(node.node, scope, condition=True)
        for argument in node.args:
            self._expression(argument, scope)

    def _refuse(self, node: nodes.Node) -> None:
        for kind, words in _WORDS.items():
            if isinstance(node, kind):
                self._complain(node, words)
                return
        self._complain(node, f"{type(node).__name__.lower()} is not possible in content")

    def _complain(self, node: nodes.Node, message: str) -> None:
        problem = Problem(self._part, f"line {node.lineno}: {message}")
        if problem not in self._usage.problems:
            self._usage.problems.append(problem)
