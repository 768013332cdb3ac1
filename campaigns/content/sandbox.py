"""Jinja made harmless: templates see plain data by literal names, and can neither run long nor grow large.

Three fences, each enough against another kind of attack: `walk.py` refuses at compile time whatever is not on a
short list (no calls, no private names, no macros); at render time dots and subscripts reach into dicts and lists
alone, never to a Python attribute; and loops, products and joins count against the limits of the running render.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.environment import Template
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.visitor import NodeTransformer

from campaigns.content.names import words

MAX_SECONDS = 1.0  # of computing: a process that is stopped or crowded out for a while fails nobody
MAX_OUTPUT = 1_000_000  # bytes of all parts of a message together
MAX_TEXT = 100_000  # characters of any value on the way
MAX_NUMBER_BITS = 1024
CHECK_EVERY = 16

# Whatever an expression on unfit data can raise.
RENDER_ERRORS = (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError)


class LimitReached(ValueError):
    """A template asks for too much."""


@dataclass
class Budget:
    """What one message may still use, and the fields that it showed without a value.

    `begun` is of the thread's own clock, which is dear to read and so asked only once `look_at` has come on the cheap
    one.
    """

    begun: float
    look_at: float
    person: Mapping[str, Any]
    left: int = MAX_OUTPUT
    missing: set[str] = field(default_factory=set)

    @classmethod
    def fresh(cls, person: Mapping[str, Any]) -> Budget:
        return cls(time.thread_time(), time.monotonic() + MAX_SECONDS, person)

    def check_time(self) -> None:
        if (now := time.monotonic()) > self.look_at:
            left = MAX_SECONDS - (time.thread_time() - self.begun)
            if left <= 0:
                raise LimitReached(f"the template takes longer than {MAX_SECONDS:g} s")
            self.look_at = now + left

    def spend(self, text: str) -> None:
        """Take the bytes of a part; its characters were counted on the way."""
        if not text.isascii() and 4 * len(text) > self.left:
            self.left -= len(text.encode("utf-8", "replace"))
        else:
            self.left -= len(text)
        if self.left < 0:
            raise _too_long()


def _too_long() -> LimitReached:
    return LimitReached(f"the message is longer than {MAX_OUTPUT} bytes")


_budget: ContextVar[Budget] = ContextVar("budget")


class Missing(Undefined):
    """A value that is not there: empty wherever it is shown, false in conditions, and noted when it is shown."""

    __slots__ = ()

    def __str__(self) -> str:
        budget = _budget.get(None)
        if budget is not None and self._undefined_name:
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

    def __index__(self) -> int:
        return 0

    def __float__(self) -> float:  # type: ignore[override]
        return 0.0

    __int__ = __index__  # type: ignore[assignment]

    __lt__ = __le__ = __gt__ = __ge__ = _no  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _nothing  # type: ignore[assignment]
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _nothing  # type: ignore[assignment]
    __pow__ = __rpow__ = __neg__ = __pos__ = __abs__ = _nothing  # type: ignore[assignment]


class ContentEnvironment(ImmutableSandboxedEnvironment):
    """One of two: with `autoescape` for HTML, without for subject and text."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self, filters: Mapping[str, Any], *, autoescape: bool) -> None:
        # Unoptimised: constant expressions would be computed while compiling, where no limit holds.
        super().__init__(
            autoescape=autoescape, optimized=False, undefined=Missing, finalize=_shown, keep_trailing_newline=True
        )
        self.globals = {"range": safe_range}
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
        if isinstance(obj, Missing) and (budget := _budget.get(None)) is not None:
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
        return super()._generate(_Limiter().visit(source), name, filename, defer_init)


ALLOWED_TESTS = words(
    "defined undefined none boolean false true integer float number string mapping sequence odd even divisibleby"
    " eq equalto == ne != gt greaterthan > ge >= lt lessthan < le <= in lower upper"
)
LOOP_COUNTERS = frozenset(words("index index0 revindex revindex0 first last length depth depth0"))


def run(template: Template, values: Mapping[str, Any], budget: Budget) -> str:
    """Render within `budget`. Raises one of RENDER_ERRORS; LimitReached past the limits."""
    token = _budget.set(budget)
    try:
        pieces: list[str] = []
        left = budget.left
        named = {name: Missing(name=name) if value is None else value for name, value in values.items()}
        for piece in template.root_render_func(template.new_context(named)):
            left -= len(piece)
            if left < 0:
                raise _too_long()
            pieces.append(piece)
            if not len(pieces) % CHECK_EVERY:
                budget.check_time()
        text = "".join(pieces)
        budget.spend(text)
        return text
    finally:
        _budget.reset(token)


def within_text_limit(size: int) -> None:
    """Raises LimitReached where a value of `size` characters would be too long."""
    if size > MAX_TEXT:
        raise LimitReached(f"a value in the template grows longer than {MAX_TEXT} characters")


class _Limiter(NodeTransformer):
    """Loops and `~` go through filters that count."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the visitor's naming
        self.generic_visit(node)
        node.iter = nodes.Filter(node.iter, "_each", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        first, *others = node.nodes
        return nodes.Filter(first, "_joined", others, [], None, None, lineno=node.lineno)


def _each(values: Iterable[Any]) -> Iterator[Any]:
    budget = _budget.get()
    for value in values:
        budget.check_time()
        yield value


def _joined(first: Any, *others: Any) -> str:
    texts = [str(_shown(value)) for value in (first, *others)]
    within_text_limit(sum(map(len, texts)))
    return "".join(texts)


def _shown(value: Any) -> Any:
    """What may be put out: single values, and lists of them with commas. A record would show its Python form."""
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(item, (dict, list, tuple)) for item in value):
        texts = [str(item) for item in value]
        within_text_limit(sum(map(len, texts)) + 2 * len(texts))
        return ", ".join(texts)
    if isinstance(value, (dict, list, tuple, set, range)):
        raise LimitReached("a list or a record cannot be shown; loop over it or name one of its fields")
    return value


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
