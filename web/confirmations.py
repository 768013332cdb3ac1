"""Sign-ups behind the page: throttled, mailed for confirmation by a worker, counted once confirmed.

What the page answers, and how soon, is the same for every address: whether it is known, suppressed or has been mailed
already is found out by the worker.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncConnection

from customers.consent_settings import consent_settings
from customers.signup_forms import SignupForm, form_by_id
from customers.signups import (
    Asked,
    SignupRef,
    ask,
    confirm,
    forget_old,
    known_address,
    pending,
    read_signup_token,
    signup_token,
    unwelcome,
)
from runtime.backoff import Backoff
from runtime.clock import utc_now
from runtime.errors import Invalid, NotFound
from runtime.house import House
from runtime.jobs import defer, job
from runtime.leader import Term, check_term
from runtime.scheduler import tick
from runtime.workspace import lasting_key
from web.i18n import SOURCE, use_language
from web.mails import render_mail, send_mail
from web.mails.confirm import context
from web.recipients import sender_name
from web.throttle import Limit, check_tries, record_tries

SIGNUP_IP = Limit("signup_ip", 20, timedelta(hours=1))
_AGENT = 300


async def sign_up(house: House, form: SignupForm, asked: Asked, ip: str, agent: str, now: datetime) -> None:
    """Note it, and leave the rest to a worker. Raises TooManyTries."""
    tries = [(SIGNUP_IP, ip)]
    async with house.database.begin() as conn:
        await record_tries(conn, tries, now)
    async with house.database.begin() as conn:
        await check_tries(conn, tries, now)
        proof = await proof_of(conn, ip, agent)
        ref = await ask(conn, form, Asked(asked.address, asked.answers, asked.topics, asked.language, proof), now)
        if ref is not None:
            at = ref.asked_at.isoformat()
            await defer(conn, answer_signup, form_id=form.id, address=asked.address, asked_at=at)


async def count_try(house: House, ip: str, now: datetime) -> None:
    """A try that was none of a person's counts all the same. Raises TooManyTries."""
    async with house.database.begin() as conn:
        await record_tries(conn, [(SIGNUP_IP, ip)], now)
    async with house.database.connect() as conn:
        await check_tries(conn, [(SIGNUP_IP, ip)], now)


@job("web.answer_signup", retry=Backoff(tries=5, base=timedelta(seconds=30)), priority=50)
async def answer_signup(house: House, *, form_id: int, address: str, asked_at: str) -> None:
    """Mail the confirmation; where the workspace asks for none and the address is new to us, let it count at once."""
    now, ref = utc_now(), SignupRef(form_id, address, datetime.fromisoformat(asked_at))
    async with house.database.begin() as conn:
        try:
            row, form = await pending(conn, ref), await form_by_id(conn, form_id)
        except NotFound:
            return
        if row.confirmed_at is not None or await unwelcome(conn, address, now):
            return
        settings = await consent_settings(conn)
        if not settings.double_opt_in and await known_address(conn, address) is None:
            try:
                await confirm(conn, form, ref, proof=None, settings=house.settings, now=now)
            except Invalid:  # erased at their own wish: only their confirmed word brings them back
                pass
            else:
                return
    await _mail(house, form, ref, row.language, now)


async def confirm_signup(house: House, token: str, ip: str, agent: str, now: datetime) -> int:
    """The customer who confirmed. Raises NotFound for a token that is none, too old or overtaken."""
    ref = read_signup_token(house.signer, token, now)
    async with house.database.begin() as conn:
        form = await form_by_id(conn, ref.form_id)
        proof = await proof_of(conn, ip, agent)
        return await confirm(conn, form, ref, proof=proof, settings=house.settings, now=now)


async def proof_of(conn: AsyncConnection, ip: str, agent: str) -> Mapping[str, Any]:
    """Where a word came from: the network address as the workspace keeps it, and the browser."""
    settings = await consent_settings(conn)
    if settings.keep_network_address:
        return {"ip": ip, "agent": agent[:_AGENT]}
    key = await lasting_key(conn, "network")
    return {"ip_hash": hmac.digest(key, ip.encode(), hashlib.sha256).hex()[:32], "agent": agent[:_AGENT]}


@tick(every=timedelta(hours=6))
async def forget_old_signups(house: House, term: Term, now: datetime) -> None:
    """Addresses that nobody confirmed are not kept."""
    async with house.database.begin() as conn:
        await check_term(conn, term)
        await forget_old(conn, now)


async def _mail(house: House, form: SignupForm, ref: SignupRef, language: str | None, now: datetime) -> None:
    token = signup_token(house.signer, ref, now)
    url = f"{house.settings.public_url}/confirm/{quote(token)}"
    use_language(language or SOURCE)
    title, _text = form.wording(language or SOURCE)
    mail = render_mail("confirm", context(sender_name(house.settings.mail_from), title, url))
    await send_mail(house.settings, ref.address, mail, f"signup {ref.form_id} {ref.asked_at.isoformat()}", now)
