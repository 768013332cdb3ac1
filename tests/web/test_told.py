"""Sentences of the rooms in the language of the page."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from campaigns.options import Options
from runtime.errors import Invalid, Problem
from tests.web.conftest import OpenApi, SignIn
from web.i18n import use_language
from web.told import pattern_of, told
from web.told_sentences import SENTENCES

ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "customers", "segments", "channels", "tracking", "campaigns", "sales", "web")


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    use_language("zh")
    yield
    use_language("en")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("must be a share in percent from 0 to 50, not 'x'", "必须是0 到 50 的百分比，而不是 'x'"),
        (
            "31 of 600 messages bounced (5.2%); campaigns stop at 5%",
            "600 封中有 31 封被退回（5.2%）；达到 5% 活动即自动暂停",
        ),
        ("variant 'B': must be a time of day like '18:30'", "版本 'B'：必须是像“18:30”这样的时刻"),
        (
            "variant 'B': line 3: unknown name 'nam'; did you mean 'name'?",
            "版本 'B'：第 3 行：未知名称 'nam'；是否想写 'name'？",
        ),
        (
            "campaign 7 (Spring) is finished: to pause it, it must be preparing or sending",
            "活动 7（Spring）现在是“已结束”：要暂停，须处于“准备中、发送中”",
        ),
        ("segment 3 (A) is used by campaign 7 (B), segment 9 (C)", "人群 3（A）正被使用：活动 7（B）、人群 9（C）"),
        ("unknown topic 'a', 'b'; make it first", "未知主题 'a', 'b'；请先创建"),
        ("has more than 100000 lines; divide it", "超过 100000 行，请拆分后再上传"),
        ("nobody ever said this", "nobody ever said this"),
        ("'x' is not what anybody ever said", "'x' is not what anybody ever said"),
        ("已经是中文", "已经是中文"),
        ("", ""),
    ],
)
def test_a_sentence_is_found_by_what_stands_between_its_values(said: str, shown: str) -> None:
    assert told(said) == shown


def test_no_sentence_names_an_option_by_its_key() -> None:
    """The form of the console calls them otherwise; who calls the API finds the key in the path."""
    keys = [field.name for field in fields(Options) if "_" in field.name]
    assert "recipient_local_time" in keys
    assert [(key, said) for key in keys for said in SENTENCES if key in said] == []


def test_errors_and_problems() -> None:
    assert told(Problem("rate", "is missing")) == "rate: 未填写"
    assert told(Invalid([Problem("a", "is missing"), Problem("", "the list is empty")])) == "a: 未填写; 列表是空的"
    assert told(None) == ""
    use_language("en")
    assert told("is missing") == "is missing"


def test_what_people_typed_stays_what_it_is() -> None:
    assert told("'%(name)s <b> %%' is not held back") == "'%(name)s <b> %%' 没有被暂缓"


def test_each_sentence_is_one_that_a_room_says() -> None:
    """Else a text was changed there and is English on Chinese pages from then on."""
    said = set(spoken())
    lost = [sentence for sentence in SENTENCES if not any(pattern_of(sentence).fullmatch(text) for text in said)]
    assert not lost


def spoken() -> Iterator[str]:
    """Every text in the rooms, `…` for a value."""
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if path.name == "told_sentences.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value + ("…" if node.value.endswith(": ") else "")
                elif isinstance(node, ast.JoinedStr):
                    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                    yield ("…" if text.startswith(";") else "") + text


async def test_refusals_are_told_in_the_language_of_the_page(sign_in: SignIn, api: OpenApi) -> None:
    client = await sign_in("marketer")
    client.headers["Accept-Language"] = "zh-CN"
    refused = await client.post("/sending/sender", data={"name": "no sender", "rate": "0"})
    assert refused.status_code == 422
    assert "必须是每秒" in refused.text
    assert "没有活动 77" in (await client.get("/campaigns/77")).text
    assert "没有活动 77" in (await client.get("/campaigns/77", headers={"HX-Request": "true"})).text
    over_api = (await (await api("marketer")).get("/campaigns/77")).json()
    assert over_api["detail"] == "there is no campaign 77"
