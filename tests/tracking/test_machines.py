"""Who is a machine, by table: the word for each, and no false alarm on what people read mail with."""

from __future__ import annotations

import pytest

from tracking.machines import machine_reason

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)
PEOPLE = [
    CHROME,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",  # Apple Mail
    "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
    "MicroMessenger/8.0.42(0x18002a2f) NetType/WIFI Language/zh_CN",
    "Mozilla/5.0 (Linux; Android 13; V2227A Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/107.0.5304.141 Mobile Safari/537.36 XWEB/5223 MMWEBSDK/20230701 MicroMessenger/8.0.40",
    "Mozilla/5.0 (Linux; U; Android 9; zh-CN; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/78 UCBrowser/13.1 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 12; HarmonyOS; ALN-AL00; HMSCore 6.12) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/99.0 HuaweiBrowser/14.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 11; Redmi Note 8 Pro) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 EdgA/120",
    "Mozilla/5.0 (X11; GNU/Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chromium/109 Chrome/109 Tesla/2023",
    "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.5266; Pro)",
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Microsoft Outlook 16.0.4966; ms-office; MSOffice 16)",
    "Outlook-iOS/2.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.3.1",
    "Mozilla/5.0 (Windows NT 10.0; WOW64) AppleWebKit/537.36 Chrome/86 Safari/537.36 QQBrowser/11 Foxmail/7.2",
    "QQMail/6.5 (iPhone; iOS 17)",
    "YahooMobileMail/1.0 (Android Mail; 7.1)",
    "Airmail 5",
    "Lotus-Notes/6.0 (Windows-NT)",
    "Opera/9.80 (Android; Opera Mini/36.2/119) Presto/2.12 Version/12.16",
]
MACHINES = {
    "": "empty",
    "-": "empty",
    "Mozilla/5.0": "prefetch",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5": "prefetch",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)": "proxy",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html": "proxy",
    "Barracuda Sentinel (EE)": "scanner",
    "Mozilla/5.0 (compatible; ProofPoint URL Defense)": "scanner",
    "Mozilla/5.0 (compatible; Mimecast)": "scanner",
    f"{CHROME} SafeLinks": "scanner",
    "Microsoft Office Existence Discovery": "scanner",
    "curl/8.5.0": "tool",
    "Wget/1.21.4": "tool",
    "python-requests/2.31.0": "tool",
    "Python-urllib/3.11": "tool",
    "python-httpx/0.27.0": "tool",
    "Go-http-client/1.1": "tool",
    "Java/17.0.9": "tool",
    "Apache-HttpClient/4.5.13 (Java/11)": "tool",
    "okhttp/4.9.3": "tool",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/119 Safari/537.36": "tool",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "crawler",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)": "crawler",
    "facebookexternalhit/1.1": "crawler",
    "Mediapartners-Google": "crawler",
}


@pytest.mark.parametrize("agent", PEOPLE)
def test_what_people_read_mail_with_is_no_machine(agent: str) -> None:
    assert machine_reason(agent) is None


@pytest.mark.parametrize(("agent", "reason"), MACHINES.items())
def test_a_machine_is_named(agent: str, reason: str) -> None:
    assert machine_reason(agent) == reason


def test_reading_headers_alone_or_fetching_ahead_is_a_machine_whatever_the_agent() -> None:
    assert machine_reason(CHROME, "HEAD") == "head"
    assert machine_reason(CHROME, headers={"sec-purpose": "prefetch;prerender"}) == "prefetch"
    assert machine_reason(CHROME, headers={"sec-purpose": ""}) is None


def test_an_endless_agent_costs_no_time() -> None:
    assert machine_reason("Mozilla/5.0 (" + "image " * 200_000) is None
