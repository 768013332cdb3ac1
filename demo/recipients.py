"""Some recipients read their mail: they open, click, order, unsubscribe; machines look in as well. All over HTTP."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape
from random import Random
from urllib.parse import urlsplit

import httpx

# What people read their mail with in China, and two machines that fetch on their own.
BROWSERS = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
    " MicroMessenger/8.0.54(0x1800362f) NetType/WIFI Language/zh_CN",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 14; 23127PN0CC) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile"
    " Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1"
    " Safari/605.1.15",
)
PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
SCANNER = "Mozilla/5.0 (compatible; Barracuda Sentinel; link-check)"

# How many of a hundred recipients do what (the rest leaves it unread).
HABITS: Mapping[str, float] = {
    "open": 24,
    "click": 9,
    "order": 2.2,
    "unsubscribe": 0.8,
    "machine open": 5,
    "machine click": 3,
}
_AT_ONCE = 12
_PATHS = re.compile(r"""https?://[^\s"'<>]+?(/[ocuv]/[A-Za-z0-9_-]+)""")


@dataclass(frozen=True)
class Letter:
    """A mail as its recipient has it: the paths of its pixel, its tracked links and its one-click unsubscribe."""

    recipient: str
    subject: str
    pixel: str
    clicks: tuple[str, ...]
    unsubscribe: str


def read_letter(raw: bytes) -> Letter:
    """Raises ValueError for a mail without pixel, links and unsubscribe: such a campaign cannot be tracked."""
    mail = message_from_bytes(raw, _class=EmailMessage, policy=policy.default)
    body = mail.get_body(("html",))
    html = unescape(body.get_content()) if body is not None else ""
    by_kind: dict[str, list[str]] = {"/o/": [], "/c/": [], "/u/": [], "/v/": []}
    for path in _PATHS.findall(html):
        by_kind[path[:3]].append(path)
    one_click = urlsplit(str(mail["List-Unsubscribe"] or "").strip("<> ").split(">")[0]).path
    if not (by_kind["/o/"] and by_kind["/c/"] and one_click):
        raise ValueError(f"mail to {mail['To']}: no pixel, no tracked link or no List-Unsubscribe")
    return Letter(
        recipient=str(mail["To"].addresses[0].addr_spec).lower(),
        subject=str(mail["Subject"]),
        pixel=by_kind["/o/"][0],
        clicks=tuple(dict.fromkeys(by_kind["/c/"])),
        unsubscribe=one_click,
    )


def draw_habits(rng: Random, letters: Sequence[Letter]) -> list[tuple[Letter, str]]:
    """Who does what; each habit is met once at least, where there are letters enough."""
    names = list(HABITS)
    weights = [*HABITS.values(), 100 - sum(HABITS.values())]
    shuffled = rng.sample(letters, len(letters))
    drawn = rng.choices([*names, ""], weights=weights, k=len(shuffled))
    drawn[: len(names)] = names[: len(drawn)]
    return [(letter, habit) for letter, habit in zip(shuffled, drawn, strict=True) if habit]


async def play(rng: Random, base: str, acts: Sequence[tuple[Letter, str]]) -> Counter[str]:
    """Let all act at once over HTTP against `base`; answers how often each habit was played."""
    gate = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(base_url=base, timeout=30, trust_env=False, follow_redirects=False) as client:

        async def one(letter: Letter, habit: str, agent: str, link: str) -> None:
            async with gate:
                await _act(client, letter, habit, agent, link)

        await asyncio.gather(
            *(one(letter, habit, rng.choice(BROWSERS), rng.choice(letter.clicks)) for letter, habit in acts)
        )
    return Counter(habit for _, habit in acts)


async def _act(client: httpx.AsyncClient, letter: Letter, habit: str, agent: str, link: str) -> None:
    if habit == "machine open":
        await _fetch(client, letter.pixel, PROXY)
    elif habit == "machine click":
        for path in letter.clicks:
            await _fetch(client, path, SCANNER)
    else:
        await _fetch(client, letter.pixel, agent)
        if habit in ("click", "order"):
            await _fetch(client, link, agent)
        elif habit == "unsubscribe":
            answer = await client.post(
                letter.unsubscribe, data={"List-Unsubscribe": "One-Click"}, headers={"User-Agent": agent}
            )
            answer.raise_for_status()


async def _fetch(client: httpx.AsyncClient, path: str, agent: str) -> None:
    answer = await client.get(path, headers={"User-Agent": agent})
    if answer.status_code not in (200, 302):
        answer.raise_for_status()
