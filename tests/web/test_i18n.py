"""English and Chinese: every text is translated, and a request gets its own language."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from babel.messages.catalog import Message

from tests.web.conftest import SignIn
from web.i18n import _, compile_catalogues, negotiate, ngettext, use_language
from web.translations import catalogue_path, extracted, missing, read_catalogue

WEB = Path(__file__).parents[2] / "web"


def test_every_text_has_chinese() -> None:
    assert missing(read_catalogue(catalogue_path()), extracted()) == []


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)", text))


def test_chinese_keeps_the_placeholders() -> None:
    for message in read_catalogue(catalogue_path()):
        sources, targets = as_texts(message.id), as_texts(message.string)
        allowed = set().union(*(placeholders(text) for text in sources))
        if not all(targets):
            continue  # the test above names it
        for text in targets:
            assert placeholders(text) <= allowed, message.id
            assert placeholders(text) | {"num"} >= placeholders(sources[-1]), message.id


def test_the_compiler_finds_no_fault() -> None:
    """The set-up stops at the first."""
    faults = {str(message.id): errors for message, errors in read_catalogue(catalogue_path()).check() if errors}
    assert not faults


def as_texts(given: Message | str) -> tuple[str, ...]:
    return tuple(given) if isinstance(given, (tuple, list)) else (str(given),)


def test_templates_show_no_text_outside_the_catalogue() -> None:
    """Between tags there are only expressions, numbers and signs (and Hearth's own name)."""
    for path in sorted((WEB / "templates").rglob("*.html")):
        source = re.sub(
            r"{#.*?#}|{%\s*set \w+\s*%}.*?{%\s*endset\s*%}|{%\s*trans\b.*?endtrans\s*%}|<code\b.*?</code>|<!--.*?-->",
            "",
            path.read_text(),
            flags=re.S,
        )
        source = re.sub(r"{{.*?}}|{%.*?%}", "", source, flags=re.S)
        text = re.sub(r"<[^<>]*>", " ", source)
        words = [word for word in re.findall(r"[A-Za-z\u4e00-\u9fff]{2,}", text) if word not in ("Hearth", "nbsp")]
        assert not words, (path.name, words)


def test_numbers_choose_the_form() -> None:
    use_language("en")
    assert ngettext("%(num)s thing", "%(num)s things", 1) == "1 thing"
    assert ngettext("%(num)s thing", "%(num)s things", 2) == "2 things"
    use_language("xx")
    assert _("Sign in") == "Sign in"
    use_language("zh")
    assert _("Sign in") == "登录"
    assert _("Use at most %(count)s characters.", count=3) == "最多 3 个字符。"


@pytest.mark.parametrize(
    ("preferred", "header", "language"),
    [
        (["zh"], "en", "zh"),
        ([None, "zh"], "en", "zh"),
        (["xx", None], "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ([], "fr;q=1.0, en;q=0.3, zh-TW;q=0.9", "zh"),
        ([], "de,en;q=0.5", "en"),
        ([], "zh;q=0,en", "en"),
        ([], "zh;q=x", "en"),
        ([], "", "en"),
    ],
)
def test_language_is_negotiated(preferred: list[str | None], header: str, language: str) -> None:
    assert negotiate(preferred, header) == language


def test_compiled_catalogues_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "zh" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "hearth.po").write_bytes(catalogue_path().read_bytes())
    monkeypatch.setattr("web.i18n.LOCALE_DIR", tmp_path)
    compile_catalogues()
    made = (folder / "hearth.mo").stat().st_mtime_ns
    compile_catalogues()
    assert (folder / "hearth.mo").stat().st_mtime_ns == made


async def test_the_browser_then_the_cookie_then_the_user_decide(client: httpx.AsyncClient, sign_in: SignIn) -> None:
    assert ">登录<" in (await client.get("/login", headers={"accept-language": "zh-CN"})).text
    client.cookies.set("hearth_language", "zh", domain="127.0.0.1")
    assert 'lang="zh-CN"' in (await client.get("/login", headers={"accept-language": "en"})).text
    user = await sign_in("analyst", language="zh")
    user.cookies.set("hearth_language", "en", domain="127.0.0.1")
    assert "个人资料" in (await user.get("/profile")).text


async def test_switching_is_remembered_with_the_user(sign_in: SignIn) -> None:
    client = await sign_in("analyst")
    answer = await client.post("/language", data={"language": "zh", "next": "/profile"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/profile")
    client.cookies.delete("hearth_language")
    assert "个人资料" in (await client.get("/profile")).text
    assert (await client.post("/language", data={"language": "xx"})).status_code == 404
    evil = await client.post("/language", data={"language": "en", "next": "https://evil.example"})
    assert evil.headers["location"] == "/"


async def test_errors_speak_the_language_too(client: httpx.AsyncClient) -> None:
    assert "没有这个页面" in (await client.get("/nothing", headers={"accept-language": "zh"})).text
