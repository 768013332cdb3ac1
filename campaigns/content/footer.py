"""The last lines of a mail whose author gave no way out."""

from __future__ import annotations

from html import escape

_WORDS = {
    "en": ("You would rather not receive these mails?", "Unsubscribe"),
    "zh": ("不想再收到此类邮件？", "退订"),
    "zh-hant": ("不想再收到此類郵件？", "取消訂閱"),
}
_TRADITIONAL = ("zh-tw", "zh-hk", "zh-mo", "zh-hant")


def html_footer(language: str) -> str:
    question, link = _words(language)
    return (
        '<div style="padding:16px;text-align:center;font-family:sans-serif;font-size:12px;line-height:18px;'
        'color:#6b7280">'
        f'{escape(question)} <a href="{{{{ links.unsubscribe }}}}" style="color:#6b7280">{escape(link)}</a></div>'
    )


def text_footer(language: str) -> str:
    question, link = _words(language)
    return f"\n\n--\n{question} {link}: {{{{ links.unsubscribe }}}}\n"


def _words(language: str) -> tuple[str, str]:
    language = language.lower().replace("_", "-")
    if language.startswith(_TRADITIONAL):
        return _WORDS["zh-hant"]
    return _WORDS.get(language.split("-")[0], _WORDS["en"])
