"""What is refused when content is compiled: mistakes with a hint, attacks without a way round."""

from __future__ import annotations

import time

import pytest

from campaigns.content import compile_content
from runtime.errors import Invalid


def refusal(**content: str) -> str:
    with pytest.raises(Invalid) as caught:
        compile_content(**{"subject": "s", **content})  # type: ignore[arg-type]
    return str(caught.value)


MISTAKES = [
    ("{{ customer.nmae }}", "text: line 1: unknown name customer.nmae; did you mean customer.name?"),
    ("\n\n{{ custmer.name }}", "text: line 3: unknown name custmer; did you mean customer?"),
    ("{{ first_name }}", "text: line 1: unknown name first_name"),
    ("{{ appliances.model }}", "appliances is a list: loop over it, or take the first by appliances[0].model"),
    ("{{ customer.name.first }}", "customer.name has no parts such as first"),
    ("{{ customer }}", "customer cannot be shown as a whole"),
    ("{{ customer.tags }}", "customer.tags cannot be shown as a whole"),
    ("{{ customer|upper }}", "upper is not possible with customer as a whole"),
    ("{% for a in customer %}x{% endfor %}", "customer is no list"),
    (
        "{% for a in appliances %}{{ a.modell }}{% endfor %}",
        "unknown name appliances.modell; did you mean appliances.model?",
    ),
    ("{% for a in appliances %}{% endfor %}{{ a.model }}", "unknown name a"),
    ("{{ customer.name|uper }}", "unknown filter uper; did you mean upper?"),
    ("{% if customer.name is foo %}{% endif %}", "foo"),
    ("{{ customer.name.upper() }}", "use a filter (name|upper instead of name.upper())"),
    ("{{ customer.name", "line 1: unexpected end of template"),
    ("a\n{% if x %}\nb", "line 2"),
    ("{% endif %}", "line 1: Encountered unknown tag 'endif'."),
    ("{{ customer.name | }}", "line 1"),
    ("{% set customer = 1 %}", "customer cannot be set"),
    ("{{ customer[campaign.name] }}", "only a literal name or number can stand in [ ]"),
    ("{% raw %}{{ x }}{% endraw %}", "{% raw %} is not possible"),
    ("{{ appliances|map('upper') }}", 'map is used as map(attribute="name")'),
    ("{{ links.unsub }}", "unknown name links.unsub; did you mean links.unsubscribe?"),
]


@pytest.mark.parametrize(("template", "message"), MISTAKES)
def test_mistakes_are_named(template: str, message: str) -> None:
    assert message in refusal(text=template)


ATTACKS = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ customer.__class__ }}",
    "{{ customer['__class__'] }}",
    "{{ customer['__cl' ~ 'ass__'] }}",
    "{{ customer|attr('__class__') }}",
    "{{ customer.name|attr('__class__') }}",
    "{{ appliances|map(attribute='__class__')|first }}",
    "{{ appliances|sort(attribute='__class__') }}",
    "{{ appliances|selectattr('__class__')|list }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__ }}",
    "{{ joiner }}",
    "{{ namespace() }}",
    "{{ dict(a=1) }}",
    "{{ self._TemplateReference__context }}",
    "{{ self }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ range.__self__ }}",
    "{{ range }}",
    "{{ loop }}",
    "{% for i in range(3) %}{{ loop.__init__ }}{% endfor %}",
    "{% for i in range(3) recursive %}{{ loop(i) }}{% endfor %}",
    "{% for i in range(3) %}{{ loop.cycle('a') }}{% endfor %}",
    "{{ '{0.__class__}'.format(customer) }}",
    "{{ '%s'|format(customer) }}",
    "{{ 'a'.join(['b']) }}",
    "{{ customer.name|safe }}",
    "{% autoescape false %}{{ customer.name }}{% endautoescape %}",
    "{% filter safe %}{{ customer.name }}{% endfilter %}",
    "{% set x %}{{ customer.name }}{% endset %}",
    "{% macro m() %}{% endmacro %}",
    "{% call x() %}{% endcall %}",
    "{% include '/etc/passwd' %}",
    "{% import 'x' as x %}",
    "{% extends 'x' %}",
    "{% block a %}{% endblock %}",
    "{% with a = 1 %}{% endwith %}",
    "{{ {'a': 1}.items() }}",
    "{{ [customer, customer] }}",
    "{{ customer.name[0:1] }}",
    "{{ _pixel }}",
    "{{ customer._sa }}",
    "{{ customer.name|_url }}",
    "{% set _c0 = 'https://evil.example' %}",
    "{{ caller() }}",
    "{{ varargs }}",
    "{{ debug }}",
    "{% debug %}",
    "{{ customer.name|pprint }}{{ customer.name|xmlattr }}",
    "{{ 'x'|center(10) }}",
]


@pytest.mark.parametrize("template", ATTACKS)
@pytest.mark.parametrize("where", ["subject", "text", "html", "mjml", "link"])
def test_attacks_are_refused_everywhere(template: str, where: str) -> None:
    if where == "subject":
        refusal(subject=template, text="x")
    elif where == "text":
        refusal(text=template)
    elif where == "html":
        refusal(html=f"<p>{template}</p>")
    elif where == "mjml":
        refusal(
            mjml=f"<mjml><mj-body><mj-section><mj-column><mj-text>{template}</mj-text></mj-column></mj-section></mj-body></mjml>"
        )
    else:
        refusal(html=f'<a href="https://a.example/?x={template.replace(chr(34), "&quot;")}">x</a>')


ATTRIBUTES = [
    ("<p {% if customer.name %}class=a{% endif %}>x</p>", "can only stand in an attribute's quoted value"),
    (
        '<p class="{% if customer.name %}a{% endif %}">x</p>',
        "cannot stand inside a start tag; put it around the element",
    ),
    ("<p {{ customer.name }}>x</p>", "can only stand in an attribute's quoted value"),
    ("<{{ customer.name }}>x</p>", "{{ customer.name }}"),
    ("<style>{% if customer.name %}p{color:red}{% endif %}</style>", "cannot stand inside a style"),
    ("<script>{% if customer.name %}{% endif %}</script>", "cannot stand inside a script"),
    ("<table>{% if customer.name %}<tr><td>a{% endif %}</td></tr></table>", "stand in different elements"),
]


@pytest.mark.parametrize(("html", "message"), ATTRIBUTES)
def test_tags_stand_where_html_allows(html: str, message: str) -> None:
    assert message in refusal(html=html)


LINKS = [
    '<a href="{{ customer.name }}">x</a>',
    '<a href="https://{{ customer.name }}/">x</a>',
    '<a href="https://a.example.{{ customer.name }}">x</a>',
    '<a href="https://a.example:{{ customer.name }}/">x</a>',
    '<a href="{{ customer.name }}://a.example/">x</a>',
    '<a href="https://user@a.example/">x</a>',
    '<a href="https://a.example\\@evil.example/">x</a>',
    '<a href="//a.example/">x</a>',
    '<a href="/path">x</a>',
    '<a href="page.html">x</a>',
    '<a href="javascript:alert(1)">x</a>',
    '<a href="JaVaScRiPt:alert(1)">x</a>',
    '<a href="java\tscript:alert(1)">x</a>',
    '<a href="vbscript:x">x</a>',
    '<a href="data:text/html,x">x</a>',
    '<a href="file:///etc/passwd">x</a>',
    '<a href="https://">x</a>',
    '<a href="https://-a.example/">x</a>',
    '<a href="https://a b.example/">x</a>',
    '<a href="https://a.example:99999/">x</a>',
    '<img src="{{ customer.name }}">',
    '<img src="javascript:alert(1)">',
    '<img src="data:image/svg+xml,x">',
    '<table background="{{ customer.name }}"></table>',
    '<form action="{{ customer.name }}"></form>',
    '<!--[if mso]><a href="{{ customer.name }}">x</a><![endif]-->',
]


@pytest.mark.parametrize("html", LINKS)
def test_addresses_without_a_literal_host_are_refused(html: str) -> None:
    assert "html: " in refusal(html=html)


def test_broken_mjml_and_missing_parts_are_named() -> None:
    assert refusal(mjml="<mjml><mj-body>").startswith("mjml: this is no MJML")
    assert "mj-textt" in refusal(
        mjml="<mjml><mj-body><mj-section><mj-column><mj-textt>a</mj-textt></mj-column></mj-section></mj-body></mjml>"
    )
    assert refusal(mjml="<mjml><mj-body><mj-include path='/etc/passwd' /></mj-body></mjml>").startswith("mjml: ")
    assert refusal(subject=" ", text="x") == "subject: a mail needs a subject"
    assert refusal(html=" ") == "html: a mail needs a body: html, mjml or text"
    assert "at most 300000" in refusal(text="x" * 300_001)


def test_all_culprits_are_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        compile_content(subject="{{ a }}", html="{{ customer.b }}\n{{ c }}", text="{{ d }}")
    assert [problem.path for problem in caught.value.problems] == ["subject", "html", "html", "text"]


def test_attribute_keys_are_checked_where_they_are_known() -> None:
    compile_content(subject="s", text="{{ customer.attributes.color }}", attributes=["color"])
    with pytest.raises(Invalid, match=r"did you mean customer.attributes.color"):
        compile_content(subject="s", text="{{ customer.attributes.colour }}", attributes=["color"])


TOO_MUCH = [
    "<div>" * 300 + "x" + "</div>" * 300,
    "<style>" + "p{color:red}" * 2001 + "</style><p>x</p>",
    "<style>" + "p{color:red}" * 1500 + "</style>" + "<p>x</p>" * 1500,
    "<p>x</p><!-- and so on",
    "<!--" * 70_000,
]


@pytest.mark.parametrize("html", TOO_MUCH)
def test_html_that_would_be_cut_short_or_take_minutes_is_refused(html: str) -> None:
    started = time.monotonic()
    assert "html: " in refusal(html=html)
    assert time.monotonic() - started < 3


def test_deep_nesting_is_refused() -> None:
    loops = 30
    assert "nested too deeply" in refusal(text="{% for a in appliances %}" * loops + "{% endfor %}" * loops)
    refusal(text="{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}")


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "customer." * 3_000 + "name }}",
        "{{ 1" + " + 1" * 400 + " }}",
        "{{ customer.name" + "|upper" * 900 + " }}",
        "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}",
        "{% if 1 %}" + "{% elif 1 %}" * 5_000 + "{% endif %}",
    ],
)
def test_endless_expressions_are_refused(text: str) -> None:
    assert "nested too deeply" in refusal(text=text)
