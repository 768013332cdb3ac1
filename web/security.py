"""Headers that every answer carries, and the language before anybody is known."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.guard import LANGUAGE_COOKIE, set_visit_cookie
from web.i18n import negotiate, use_language

CONSOLE_CSP = "; ".join(
    (
        "default-src 'self'",
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",  # widths of bars and places of tooltips; no markup of others is unescaped
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-src 'self'",
        "frame-ancestors 'none'",
    )
)

# A mail shown inside the console: no script, no form, an origin of its own, framed only by us; its links lead nowhere,
# or into windows of their own.
MAIL_CSP = (
    "sandbox{may}; default-src 'none'; style-src 'unsafe-inline'; img-src data:{images}; font-src data:; "
    "frame-ancestors 'self'"
)

HSTS = "max-age=31536000"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Shell:
    """Outermost layer: chooses the language from cookie and browser, adds the security headers that an answer lacks."""

    def __init__(self, app: ASGIApp, hsts: bool) -> None:
        self.app = app
        self.hsts = hsts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        cookie = request.cookies.get(LANGUAGE_COOKIE)
        use_language(negotiate([cookie], request.headers.get("accept-language", "")))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                complete(headers)
                if self.hsts:
                    headers["Strict-Transport-Security"] = HSTS
                set_visit_cookie(request, headers)
            await send(message)

        await self.app(scope, receive, sending)


def complete(headers: MutableHeaders) -> None:
    """Add the security headers that are not there."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Content-Security-Policy", CONSOLE_CSP)
