"""Surveys in a body: `{{ survey("csat") }}` becomes the question with one link for each answer.

Written out in the source before anything else reads it, so that the answers are tracked links like any other and
rendering knows nothing of surveys. Forms:

    {{ survey("csat") }}, {{ survey("nps", "How was the repair?") }}     the block; in MJML inside <mj-text>
    {{ survey_link("csat") }}, {{ survey_link("csat", 5) }}              an address alone: of the page that asks (for an
                                                                         SMS), of one answer (for a button of one's own)

In the link table an answer is `{{ links.survey }}/csat/5`: an address that is made at the click, with a token of its
own (tracking/survey_tokens.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from customers.surveys import CSAT, NPS, SURVEYS, Survey
from runtime.errors import Invalid, Problem

_SIGN = "survey"
_TAG = re.compile(r"\{\{-?\s*survey(?:_link)?\b.*?\}\}", re.DOTALL)
_QUOTED = r"""(?:"([^"\\{}<>]*)"|'([^'\\{}<>]*)')"""
_CALL = re.compile(rf"\{{\{{\s*(survey|survey_link)\(\s*{_QUOTED}\s*(?:,\s*(?:{_QUOTED}|(\d{{1,2}}))\s*)?\)\s*\}}\}}")
_HOST = "https://survey.invalid"  # never anybody's (RFC 2606)
_ADDRESS = re.compile(re.escape(_HOST) + r"(/(?:csat|nps)(?:/\d+)?)")
_STORED = re.compile(r"\{\{ links\.survey \}\}/(csat|nps)(?:/(\d+))?")

_WORDS = {  # question, what the lowest and the highest answer mean
    ("en", "csat"): ("How satisfied are you with our service?", "very dissatisfied", "very satisfied"),
    ("en", "nps"): ("How likely are you to recommend us to a friend or colleague?", "not at all likely", "very likely"),
    ("zh", "csat"): ("您对我们的服务满意吗？", "非常不满意", "非常满意"),
    ("zh", "nps"): ("您有多大可能向朋友或同事推荐我们？", "完全不可能", "非常可能"),
}
# From red to green, pale enough for dark signs (contrast above 10 : 1).
_COLOURS = ("#fbd5d2", "#fde4cf", "#fdf3c8", "#e2f3d3", "#c9ecd2")
_CELL = (
    '<td align="center" style="background:{colour};border-radius:8px;padding:0"><a href="{address}" '
    'title="{title}" style="display:block;padding:14px 0;font-size:18px;line-height:20px;font-weight:bold;'
    'color:#1f2937;text-decoration:none">{score}</a></td>'
)
_TABLE = (
    '<table role="presentation" align="center" width="100%" cellpadding="0" cellspacing="0" '
    'style="max-width:420px;margin:0 auto;table-layout:fixed;border-collapse:separate;border-spacing:6px">{rows}'
    "</table>"
)
_BLOCK = (
    '<div style="padding:16px 0;text-align:center;font-family:sans-serif"><div style="font-size:17px;line-height:24px;'
    'font-weight:bold;padding:0 0 10px">{question}</div>{table}<div style="font-size:13px;line-height:18px;padding:'
    '8px 0 0">{ends}</div></div>'
)
_IN_A_ROW = 6


def written_out(source: str, part: str, language: str) -> str:
    """The source with its surveys as links; as it is where there are none. Raises Invalid for what is no survey."""
    if _SIGN not in source:
        return source
    block = _text if part == "text" else _html
    problems = [
        Problem(
            part, f"line {source.count(chr(10), 0, found.start()) + 1}: {found[0][:80]} is no survey; write {_HELP}"
        )
        for found in _TAG.finditer(source)
        if not _fits(_CALL.fullmatch(found[0]))
    ]
    if problems:
        raise Invalid(problems)
    return _CALL.sub(lambda call: _written(call, block, language), source)


def stored(template: str) -> str:
    """A tracked address as the link table keeps it."""
    return _ADDRESS.sub(r"{{ links.survey }}\1", template) if template.startswith(_HOST) else template


def survey_of(template: str) -> tuple[Survey, int | None] | None:
    """The survey and the answer that a link of a link table stands for; the answer None: its page asks."""
    found = _STORED.fullmatch(template)
    return None if found is None else (SURVEYS[found[1]], int(found[2]) if found[2] else None)


def label_of(template: str) -> str | None:
    """What reports call such a link: `CSAT 5`."""
    if (found := survey_of(template)) is None:
        return None
    survey, score = found
    return survey.name.upper() if score is None else f"{survey.name.upper()} {score}"


_HELP = '{{ survey("csat") }}, {{ survey("nps", "a question") }} or {{ survey_link("csat") }}'


def _line(source: str, place: int) -> int:
    return source.count("\n", 0, place) + 1


def _fits(call: re.Match[str] | None) -> bool:
    if call is None or (name := call[2] or call[3]) not in SURVEYS:
        return False
    if call[1] == "survey":
        return call[6] is None
    return call[4] is None and call[5] is None and (call[6] is None or int(call[6]) in SURVEYS[name].scores)


def _written(call: re.Match[str], block: Callable[[Survey, str, str], str], language: str) -> str:
    survey = SURVEYS[call[2] or call[3]]
    if call[1] == "survey_link":
        return _address(survey, None if call[6] is None else int(call[6]))
    return block(survey, (call[4] or call[5] or "").strip(), language)


def _address(survey: Survey, score: int | None = None) -> str:
    return f"{_HOST}/{survey.name}" + ("" if score is None else f"/{score}")


def _html(survey: Survey, question: str, language: str) -> str:
    asked, worst, best = _words(survey, language)
    cells = [_cell(survey, score, worst, best) for score in survey.scores]
    rows = [cells[start : start + _IN_A_ROW] for start in range(0, len(cells), _IN_A_ROW)]
    table = _TABLE.format(rows="".join(f"<tr>{''.join(row)}</tr>" for row in rows))
    ends = f"{survey.low} = {worst} · {survey.high} = {best}"
    return _BLOCK.format(question=escape(question or asked), table=table, ends=escape(ends))


def _cell(survey: Survey, score: int, worst: str, best: str) -> str:
    meaning = {survey.low: f": {worst}", survey.high: f": {best}"}.get(score, "")
    colour = _COLOURS[(score - survey.low) * (len(_COLOURS) - 1) // (survey.high - survey.low)]
    title = escape(f"{score}/{survey.high}{meaning}")
    return _CELL.format(colour=colour, address=_address(survey, score), title=title, score=score)


def _text(survey: Survey, question: str, language: str) -> str:
    """Short scales have a line for each answer; the long one is asked on its page."""
    asked, worst, best = _words(survey, language)
    ends = f"{survey.low} = {worst}, {survey.high} = {best}"
    if survey is NPS:
        return f"{question or asked} ({ends})\n{_address(survey)}\n"
    lines = [f"{score}: {_address(survey, score)}" for score in reversed(CSAT.scores)]
    return "\n".join([f"{question or asked} ({ends})", *lines, ""])


def _words(survey: Survey, language: str) -> tuple[str, str, str]:
    own = "zh" if language.lower().startswith("zh") else "en"
    return _WORDS[own, survey.name]
