"""Which domains are one mail service: they share limits and refusals. The others are on their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Provider:
    """`connections`: how many may hand over to it at once unless something else is settled. Providers publish few
    numbers; these stay below what their postmasters and large senders report as safe for one sender."""

    connections: int
    also: tuple[str, ...] = ()


PROVIDERS: Mapping[str, Provider] = {
    "gmail.com": Provider(20, ("googlemail.com",)),
    "outlook.com": Provider(10, ("hotmail.com", "live.com", "msn.com", "hotmail.co.uk", "live.cn")),
    "yahoo.com": Provider(10, ("ymail.com", "rocketmail.com", "aol.com", "yahoo.co.uk")),
    "icloud.com": Provider(10, ("me.com", "mac.com")),
    "qq.com": Provider(10, ("foxmail.com", "vip.qq.com")),
    "163.com": Provider(10, ("126.com", "yeah.net", "vip.163.com", "188.com")),
    "sina.com": Provider(5, ("sina.cn", "vip.sina.com")),
    "sohu.com": Provider(5),
    "139.com": Provider(5),
    "189.cn": Provider(5),
    "aliyun.com": Provider(5),
    "gmx.net": Provider(10, ("gmx.de", "web.de", "gmx.com", "mail.com")),
    "mail.ru": Provider(5, ("bk.ru", "list.ru", "inbox.ru")),
}
_MAIN = {other: main for main, provider in PROVIDERS.items() for other in provider.also}


def main_domain(domain: str) -> str:
    """The domain by which the mail service behind `domain` goes: "Hotmail.com" → "outlook.com"."""
    folded = domain.lower()
    return _MAIN.get(folded, folded)


def domains_of(main: str) -> tuple[str, ...]:
    """All domains of the mail service that goes by `main`."""
    return (main, *PROVIDERS[main].also) if main in PROVIDERS else (main,)


def domain_of(address: str) -> str:
    """The main domain that an address belongs to; "" for what is no mail address (a phone number)."""
    _, at, domain = address.rpartition("@")
    return main_domain(domain) if at else ""
