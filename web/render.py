"""Pages: one Jinja environment, `page()`, `redirect()`, flashes."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from web import follow_up_words, survey_words, words
from web.access import found_viewer, house_of
from web.guard import redirect as plain_redirect
from web.guard import secure
from web.i18n import raw_gettext, raw_ngettext
from web.schedule_words import schedule_in_words
from web.security import MAIL_CSP
from web.told import told
from web.view import FILTERS, GLOBALS, current_request

TEMPLATES = Path(__file__).parent / "templates"
FLASH_COOKIE = "hearth_flash"
LINKS = "allow-popups allow-popups-to-escape-sandbox"
_DOCTYPE = re.compile(r"\A(\s*<!doctype[^>]*>)?", re.IGNORECASE)


def page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    partial: str | None = None,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """Render `template`; when htmx asks for the element whose id is `partial`, only the block of that name."""
    with current_request(request):
        found = environment().get_template(template)
        values = _values(request, context)
        if partial is not None and wants(request, partial):
            html = "".join(found.blocks[partial](found.new_context(values)))
            return HTMLResponse(html, status, _uncached(headers))
        flash = _read_flash(request)
        response = HTMLResponse(found.render(flash=flash, **values), status, _uncached(headers))
    if flash is not None:
        response.delete_cookie(FLASH_COOKIE, path="/")
    return response


def fragment(request: Request, template: str, **context: Any) -> str:
    """A piece of a page as HTML text, for an answer that carries more than HTML."""
    with current_request(request):
        return environment().get_template(template).render(**_values(request, context))


def redirect(
    request: Request, name: str, *, flash: str | None = None, kind: str = "success", **params: Any
) -> Response:
    """303 to the route `name` (params fill its path, the rest become its query); `flash` is shown there once."""
    with current_request(request):
        response = plain_redirect(request, GLOBALS["url"](name, **params))
    if flash is not None:
        text = base64.urlsafe_b64encode(json.dumps({"text": told(flash)[:500], "kind": kind}).encode()).decode()
        response.set_cookie(FLASH_COOKIE, text, max_age=60, httponly=True, samesite="lax", secure=secure(request))
    return response


def mail_frame(html: str, *, remote_images: bool = False, links: bool = False) -> Response:
    """A mail for `<iframe sandbox src=…>`: own origin, no script; remote images (and open pixels) on request.

    `links`: they open in windows of their own, if the frame's own sandbox has the words of LINKS too.
    """
    policy = MAIL_CSP.format(images=" https: http:" if remote_images else "", may=f" {LINKS}" if links else "")
    if links:
        html = _DOCTYPE.sub(lambda found: found[0] + '<base target="_blank">', html, count=1)
    return HTMLResponse(html, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})


@cache
def environment() -> Environment:
    """The console's Jinja: everything escaped, an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    made.install_gettext_callables(raw_gettext, raw_ngettext, newstyle=True)  # type: ignore[attr-defined]
    made.policies["ext.i18n.trimmed"] = True  # as web/translations.py reads them
    made.globals.update(GLOBALS)
    made.globals.update(words.GLOBALS)
    made.globals.update(survey_words.GLOBALS)
    made.globals.update(follow_up_words.GLOBALS)
    made.globals["schedule_in_words"] = schedule_in_words
    made.filters.update(FILTERS)
    made.filters["told"] = told
    made.globals["m"] = made.get_template("macros.html").module
    return made


def _values(request: Request, context: Mapping[str, Any]) -> dict[str, Any]:
    """What every template can name."""
    return {
        "request": request,
        "viewer": found_viewer(request),
        "settings": house_of(request).settings,
        **context,
    }


def wants(request: Request, partial: str) -> bool:
    """Whether htmx asks for nothing but the element whose id is `partial`."""
    return request.headers.get("HX-Target") == partial and not request.headers.get("HX-History-Restore-Request")


def _uncached(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {"Cache-Control": "no-store", "Vary": "HX-Target, HX-Request", **(headers or {})}


def _read_flash(request: Request) -> dict[str, str] | None:
    raw = request.cookies.get(FLASH_COOKIE)
    if not raw:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(raw))
        return {"text": str(found["text"]), "kind": str(found["kind"])}
    except (ValueError, KeyError, TypeError):
        return None
