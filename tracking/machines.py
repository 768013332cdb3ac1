"""Human or machine: who fetched a pixel or followed a link, judged by what the request says of itself.

Machines are kept, flagged with a word, and counted for nothing. The maintained `crawlerdetect` library knows
crawlers; the patterns below add what fetches *mail*: image proxies, privacy prefetch, security gateways, tools. Beyond
names: a browser neither tells its maker's web or mail address nor is called "compatible", and what is built like no
browser and is no mail client that we know is a program.

An image proxy counts as a machine, Gmail's too. Gmail's fetches mostly when the mail is opened, but also when a list
shows a preview or a scanner looks, and once for several opens; Apple's fetches every mail, opened or not. An open by
proxy is therefore seen apart (`machine_opened`), and a click, which no proxy makes, implies the open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache

from crawlerdetect import CrawlerDetect

HEAD = "head"  # nobody reads headers alone
EMPTY = "empty"  # no user agent
PROXY = "proxy"  # a mail provider's image proxy
PREFETCH = "prefetch"  # fetched in advance, by its own word or Apple's Mail Privacy Protection
SCANNER = "scanner"  # a security gateway looks where links lead
TOOL = "tool"  # a command-line client or a program's HTTP library
CRAWLER = "crawler"  # search engines, link previews, monitors
STRANGER = "stranger"  # built like no browser, and no mail client that we know
TRAP = "trap"  # followed the link that nobody sees
FAST = "fast"  # sooner after sending than a person can be

FASTEST_PERSON = timedelta(seconds=2)
TELLING = ("sec-purpose", "purpose", "x-purpose", "x-moz")  # headers by which browsers say that they only fetch ahead
_LONGEST_AGENT = 512  # longer ones are cut before any pattern looks at them

_PATTERNS = {
    PROXY: r"googleimageproxy|ggpht\.com|yahoomailproxy|outlook.?image.?proxy|seznam.?image"
    r"|duckduckgo.?image|camo.?asset|(image|img|mail|privacy|gmx)[ -]?proxy",
    SCANNER: r"barracuda|proofpoint|mimecast|safe.?links|messagelabs|symantec|ironport|cisco.?(esa|umbrella|talos)"
    r"|fireeye|trellix|zscaler|forcepoint|websense|sophos|avanan|check.?point|cloudmark|vade.?(secure|retro)|bitdefender|mcafee"
    r"|kaspersky|trend.?micro|fortiguard|fortinet|netcraft|phish|urlscan|virustotal|mail(scanner|guard)|webroot|cyren"
    r"|spam(assassin|experts|titan)|sucuri|hornetsecurity|retarus|\beset\b|palo.?alto|expanse|censys|antivirus|malware"
    r"|microsoft office (existence|protocol)|\bscan(ner|ning)?\b|link.?(check|scan|valid)",
    TOOL: r"^(curl|wget|libcurl|httpie|aria2|java|okhttp|ruby|perl|php|lua|rust|deno|bun|node|got|axios|ky)\b|python"
    r"|urllib|aiohttp|httpx|pycurl|\brequests/|scrapy|mechanize|go-http|go-resty|fasthttp|apache-http|jakarta|http.?client|jersey/"
    r"|unirest|restsharp|libwww|\blwp|winhttp|powershell|microsoft-cryptoapi|guzzle|faraday|typhoeus|httparty|rest-client"
    r"|undici|node-fetch|superagent|postman|insomnia|reqwest|\bhyper/|\bureq|\bdart[/:]|cpprestsdk|libsoup|wininet|\bwrk/"
    r"|webclient|apachebench|\bab/|siege/|jmeter|\bk6/|locust|headless|phantomjs|puppeteer|playwright|selenium|http\.rb"
    r"|grpc|feign|vert\.x|reactor-?netty|akka-http|jetty|erlang|hackney",
    PREFETCH: r"\bprefetch|\bprerender|\bpreview\b|urlpreview|linkpreview",
    CRAWLER: r"bot\b|crawler|spider|slurp|monitor(ing)?\b|uptime|pingdom|favicon|feedfetcher|externalhit|whatsapp/",
}
_KINDS = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS.items()), re.IGNORECASE)
# Sound like machines to a list made for web sites, and are how people read mail.
_MAIL_CLIENTS = re.compile(
    r"microsoft (office|outlook)|^outlook|^(mail/|safari/?)\d.*cfnetwork|airmail|thunderbird|postbox|foxmail|qq ?mail"
    r"|yahoomobilemail|lotus-notes|evolution|kmail|eudora|the bat!|incredimail|zimbra|em ?client|mailbird|mailmate"
    r"|sparrow|mailspring|bluemail|k-9|claws mail|sylpheed|neteasemail|mailmaster|coremail|dingtalk|wxwork"
    r"|^(e?links|lynx|w3m)\b",
    re.IGNORECASE,
)
_MAKER = re.compile(
    r"https?:|\bwww\.|\+[a-z-]+\.[a-z]{2}|[\w.-]+@[a-z-]+\.[a-z]|\[at\]"
    r"|\bcompatible; (?!msie|konqueror|u;|linux|gecko)[\w .-]+(/[\d.]+)?[;)]",
    re.IGNORECASE,
)
_BROWSER = re.compile(
    r"(mozilla|opera|dalvik|ucweb)/\d|.*(gecko|webkit|khtml|presto|trident|android|symbian|openharmony|midp|opera mini"
    r"|ucbrowser|windows (ce|phone)|blackberry|nokia|obigo|netfront|teleca|browser|maui)",
    re.IGNORECASE,
)
_PHONES = re.compile(r"cubot|build/\S+", re.IGNORECASE)
_BARE_BROWSER = re.compile(r"mozilla/[45]\.0( \(compatible\))?", re.IGNORECASE)  # Apple's prefetch says no more
_crawlers = CrawlerDetect()


def machine_reason(agent: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> str | None:
    """The word for the machine that sent this request, None for what looks like a person.

    `headers` with lower-case names; a browser says there that it only fetches in advance.
    """
    if method == "HEAD":
        return HEAD
    if headers and _ahead(headers):
        return PREFETCH
    return _judged(agent[:_LONGEST_AGENT].strip())


@lru_cache(maxsize=4096)
def _judged(agent: str) -> str | None:
    if agent in ("", "-"):
        return EMPTY
    if _BARE_BROWSER.fullmatch(agent):
        return PREFETCH
    found = _KINDS.search(_PHONES.sub(" ", agent))
    if found is not None:
        return str(found.lastgroup)
    if _MAIL_CLIENTS.search(agent):
        return None
    if _MAKER.search(agent) or _crawlers.is_crawler(agent):
        return CRAWLER
    return None if _BROWSER.match(agent) else STRANGER


def _ahead(headers: Mapping[str, str]) -> bool:
    said = " ".join(headers.get(name, "") for name in TELLING)
    return "prefetch" in said or "preview" in said or "prerender" in said
