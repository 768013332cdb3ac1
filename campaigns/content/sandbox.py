"""Jinja made harmless: templates see plain data by literal names, and can neither run long nor grow large.

Three fences, each enough against another kind of attack: `walk.py` refuses at compile time whatever is not on a
short list (no calls, no private names, no macros); at render time dots and subscripts reach into dicts and lists
alone, never to a Python attribute; and loops, products and joins count against the limits of the running render.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.environment import Template
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import missing

from campaigns.content.codegen import PieceGenerator, Rewriter
from campaigns.content.limits import Budget, LimitReached, current, within_text_limit
from campaigns.content.names import words
from campaigns.content.output import HTML, NO_CLICKS, TEXT, Clicks, shown
from channels.contract import Lines

MAX_NUMBER_BITS = 1024

# Whatever an expression on unfit data can raise.
RENDER_ERRORS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


class Missing(Undefined):
    """A value that is not there: empty wherever it is shown, false in conditions, and noted when it is shown."""

    __slots__ = ()

    def __str__(self) -> str:
        budget = current.get(None)
        if budget is not None and budget.person is not None and self._undefined_name:
            budget.missing.add(self.path(budget.person))
        return ""

    def path(self, person: Mapping[str, Any]) -> str:
        """The dotted name by which the template knows it."""
        record = self._undefined_obj
        owner = _path_of(record, person) if isinstance(record, dict) else ""
        return ".".join(filter(None, (owner, self._undefined_name)))

    def _nothing(self, *_: object) -> Missing:
        return self

    def _no(self, *_: object) -> bool:
        return False

    def _fail_with_undefined_error(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise LimitReached(f"{self._undefined_name or 'a value'} is missing")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Undefined) or other is None

    def __hash__(self) -> int:
        return hash(type(self))

    def __getitem__(self, part: object) -> NoReturn:
        raise KeyError(part)

    def __index__(self) -> int:
        return 0

    def __float__(self) -> float:  # type: ignore[override]
        return 0.0

    __int__ = __index__  # type: ignore[assignment]

    __lt__ = __le__ = __gt__ = __ge__ = _no  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _nothing  # type: ignore[assignment]
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _nothing  # type: ignore[assignment]
    __pow__ = __rpow__ = __neg__ = __pos__ = __abs__ = _nothing  # type: ignore[assignment]


_GLOBALS = {"range": safe_range}


class ContentEnvironment(ImmutableSandboxedEnvironment):
    """One of two: with `autoescape` for HTML, without for subject and text."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    code_generator_class = PieceGenerator

    def __init__(self, filters: Mapping[str, Any], *, autoescape: bool) -> None:
        # Unoptimised: constant expressions would be computed while compiling, where no limit holds.
        super().__init__(autoescape=autoescape, optimized=False, undefined=Missing, keep_trailing_newline=True)
        self.form = HTML if autoescape else TEXT
        self.eval_ctx = nodes.EvalContext(self)  # nothing that a template may say changes it
        self.globals = dict(_GLOBALS)
        self.filters = {**filters, "_each": _each, "_joined": _joined}
        self.tests = {name: self.tests[name] for name in ALLOWED_TESTS if name in self.tests}
        self.tests["none"] = lambda value: value is None or isinstance(value, Undefined)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A part of a dict; of a loop its counters; of anything else nothing."""
        if isinstance(obj, dict):
            value = obj.get(attribute)
            return Missing(obj=obj, name=attribute) if value is None else value
        if isinstance(obj, LoopContext) and attribute in LOOP_COUNTERS:
            return getattr(obj, attribute)
        if isinstance(obj, Missing) and (budget := current.get(None)) is not None and budget.person is not None:
            return Missing(name=".".join(filter(None, (obj.path(budget.person), attribute))))
        return Missing(name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """As `getattr`; of a list the element at a position."""
        if isinstance(obj, list) and type(argument) is int:
            return obj[argument] if -len(obj) <= argument < len(obj) else Missing()
        return self.getattr(obj, argument) if isinstance(argument, str) else Missing()

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        _check_operands(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def _generate(
        self, source: nodes.Template, name: str | None, filename: str | None, defer_init: bool = False
    ) -> str:
        return super()._generate(Rewriter().visit(source), name, filename, defer_init)


class Names(Context):
    """The names of one message for one of its templates, and what its code (codegen.py) needs besides."""

    blocks: dict[str, Any] = {}  # noqa: RUF012 - there are none: templates do not inherit
    globals_keys: frozenset[str] = frozenset()  # type: ignore[assignment]
    name = None

    def __init__(self, environment: Any, values: dict[str, Any], budget: Budget, clicks: Clicks) -> None:
        self.environment = environment
        self.eval_ctx = environment.eval_ctx
        self.parent = values
        self.vars = {}
        self.exported_vars = set()
        self.budget = budget
        self.clicks = clicks

    def resolve_or_missing(self, key: str) -> Any:
        return self.parent.get(key, missing)


ALLOWED_TESTS = words(
    "defined undefined none boolean false true integer float number string mapping sequence odd even divisibleby"
    " eq equalto == ne != gt greaterthan > ge >= lt lessthan < le <= in lower upper"
)
LOOP_COUNTERS = frozenset(words("index index0 revindex revindex0 first last length depth depth0"))


def scope(person: Mapping[str, Any]) -> dict[str, Any]:
    """The names that a template sees of a person: what there is not is Missing."""
    values = {**_GLOBALS, **person}
    for name, value in person.items():
        if value is None:
            values[name] = Missing(name=name)
    return values


def run(template: Template, values: dict[str, Any], budget: Budget, clicks: Clicks = NO_CLICKS) -> Lines:
    """Render within `budget`, the current one. Raises one of RENDER_ERRORS; LimitReached past the limits."""
    pieces: list[bytes] = []
    portions: Any = template.root_render_func(Names(template.environment, values, budget, clicks))
    for portion in portions:  # tuples of pieces, already taken from the budget: see codegen.py
        if budget.left < 0 or time.monotonic() > budget.look_at:
            budget.check()
        pieces += portion
    return Lines(b"".join(pieces), budget.settled)


def _each(values: Iterable[Any]) -> Iterator[Any]:
    budget = current.get()
    for value in values:
        budget.check_time()
        yield value


def _joined(first: Any, *others: Any) -> str:
    texts = [str(shown(value)) for value in (first, *others)]
    within_text_limit(sum(map(len, texts)))
    return "".join(texts)


def _check_operands(operator: str, left: Any, right: Any) -> None:
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        return
    for value in (left, right):
        if isinstance(value, int) and value.bit_length() > MAX_NUMBER_BITS:
            raise LimitReached("a number in the template grows too large")
        if isinstance(value, (list, tuple, dict)):
            raise LimitReached("lists cannot be computed with")
    text = isinstance(left, str) or isinstance(right, str)
    if text and operator == "+":
        within_text_limit(sum(len(value) for value in (left, right) if isinstance(value, str)))
    elif text:
        raise LimitReached(f"text cannot be computed with ({operator})")
    elif operator == "**" and abs(right) > 64:
        raise LimitReached("a number in the template grows too large")


def _path_of(record: dict[str, Any], within: Mapping[str, Any]) -> str:
    for name, value in within.items():
        for part in value if isinstance(value, list) else [value]:
            if part is record:
                return name
            if isinstance(part, dict) and (inner := _path_of(record, part)):
                return f"{name}.{inner}"
    return ""
