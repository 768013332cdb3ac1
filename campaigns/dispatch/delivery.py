"""Handing the messages of one batch over, on several connections at once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from campaigns.content import RenderFailed
from campaigns.dispatch.desk import Desk
from campaigns.dispatch.letters import Writer
from campaigns.dispatch.lines import Line
from campaigns.dispatch.recorder import Result
from campaigns.dispatch.turns import Turns
from campaigns.dispatch.verdicts import Policy, consequence
from campaigns.dispatch.watch import Ward
from campaigns.dispatch.work import Work
from campaigns.permission import MERGED
from channels.contract import ChannelError, Outgoing, Sent
from channels.places import Guest
from runtime.clock import utc_now
from runtime.errors import Unavailable
from runtime.group_commit import Group
from runtime.house import House
from tracking.ledger import Due, Outcome, mark_sending
from tracking.states import State

BAD_RENDERS = 10  # that many, and that share of what was rendered, pause the campaign
BAD_SHARE = 0.1
BAD_SECONDS = 10.0  # of computing for nothing pause it too, however few they were: all others wait meanwhile


@dataclass
class Tally:
    """How a batch is going. `pause`: why the campaign must stop; `down`: what the mail server's side says, once no
    connection works any more; `lost`: the database went away."""

    accepted: int = 0
    rendered: int = 0
    bad_renders: int = 0
    bad_seconds: float = 0.0
    broken: int = 0  # connections in a row
    pause: str | None = None
    down: str | None = None
    lost: Exception | None = None


class Letter(NamedTuple):
    """A message ready to go."""

    message: Due
    outgoing: Outgoing


class Delivery:
    """One batch under way. `run()` returns when everything that was begun is recorded."""

    def __init__(self, house: House, desk: Desk, work: Work, ward: Ward, writer: Writer, policy: Policy) -> None:
        self.tally = Tally()
        self.accepting = asyncio.Event()  # the first message was taken over
        self._house = house
        self._desk = desk
        self._work = work
        self._ward = ward
        self._writer = writer
        self._policy = policy
        self._capabilities = work.run.channel.capabilities
        self._lines = desk.lines(work.run.channel)
        self._guest = Guest(work.run.rank)
        self.turns = Turns(desk.traffic, work.run, work.due, self._lines.limit, lambda: self._over)
        self._records: list[Group[Result]] = []

    async def run(self) -> None:
        """Raises Unavailable or DBAPIError where the database is away for long: the batch is then tried again."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(self._lines.limit, len(self._work.due))):
                tasks.create_task(self._work_off())
        for record in self._records:
            await record
        self._desk.watch.check()
        if self.tally.lost is not None:
            raise self.tally.lost

    @property
    def _over(self) -> bool:
        if self._house.stopping.is_set() or self._ward.halted or self.turns.later is not None:
            return True
        if self._desk.recorder.owes:
            return True
        return self.tally.pause is not None or self.tally.down is not None or self.tally.lost is not None

    async def _work_off(self) -> None:
        """An error ends this task alone: to cancel the others would break off messages whose answer is under way."""
        try:
            while (letter := await self._next()) is not None:
                async with self._lines.lease(self._guest) as line:
                    await self._hand_over(letter, line)
        except (Unavailable, DBAPIError) as error:
            self.tally.lost = error

    async def _hand_over(self, letter: Letter | None, line: Line) -> None:
        """This one, and over the same line those that can follow at once, each announced with the one before."""
        while letter is not None:
            for _ in range(2):  # before each letter the others get their turn: a commit waits for no more than that
                await asyncio.sleep(0)
            following = self._following(letter) if line.free else None
            if not self._capabilities.commit_before_submit or await self._marked(letter.message):
                await self._send(letter, line, following)
            else:
                self.turns.released(letter.message)
            letter = following

    async def _next(self) -> Letter | None:
        """The next message that can go, written; what can not is recorded on the way."""
        while not self._over and (message := await self.turns.next()) is not None:
            if self._over:
                self.turns.released(message)
            elif (letter := self._written(message)) is not None:
                return letter
        return None

    def _following(self, letter: Letter) -> Letter | None:
        """The same, of what can go at this very moment behind another on its line."""
        while not self._over and (message := self.turns.pick(letter.message)) is not None:
            if (following := self._written(message)) is not None:
                return following
        return None

    async def _send(self, letter: Letter, line: Line, following: Letter | None) -> None:
        announced = None if following is None else following.outgoing
        try:
            sent = await line.sender.send(letter.outgoing, partial(self._allowed, letter.message, line), announced)
        except ChannelError as error:
            self.turns.answered(letter.message, error)
            line.recorded = self._failed(letter.message, error)
        else:
            if sent.accepted:
                self.turns.answered(letter.message, None)
            else:
                self.turns.released(letter.message)
            line.recorded = self._answered(letter, sent) or line.recorded

    def _written(self, message: Due) -> Letter | None:
        """None where it cannot go: now, since it is quiet there (it stays queued, and is put off when the batch is
        loaded again), or ever, which is recorded."""
        customer_id = message.key.customer_id
        reason = self._ward.barred.get(customer_id)
        if reason is None and not self._ward.quiet(customer_id):
            outgoing = self._write(message)
            if outgoing is not None:
                return Letter(message, outgoing)
        self.turns.released(message)
        if reason is not None:
            self._skip(message, reason)
        return None

    def _write(self, message: Due) -> Outgoing | None:
        self.tally.rendered += 1
        begun = time.thread_time()
        try:
            return self._writer.letter(message, self._work.people[message.key.customer_id])
        except RenderFailed as error:
            self.tally.bad_renders += 1
            self.tally.bad_seconds += time.thread_time() - begun
            self._check_renders(str(error))
            self._record(Outcome(message.key, State.FAILED, utc_now(), reason=str(error)))
        except ChannelError as error:
            self._failed(message, error)
        return None

    def _check_renders(self, error: str) -> None:
        bad, tried = self.tally.bad_renders, self.tally.rendered
        if (bad >= BAD_RENDERS and bad >= BAD_SHARE * tried) or self.tally.bad_seconds >= BAD_SECONDS:
            self.tally.pause = f"{bad} of {tried} messages could not be rendered, the last one: {error}"

    async def _marked(self, message: Due) -> bool:
        """Commit that it is being handed over, for channels that never hand one over twice."""
        async with self._house.database.begin() as conn:
            return message.key in await mark_sending(conn, [message.key])

    async def _allowed(self, message: Due, line: Line) -> bool:
        """Asked right before the point of no return."""
        if line.unsettled and not await line.clear():
            return False
        if not self._ward.fresh and not await self._desk.watch.fresh(self._ward):
            return False
        if self._desk.recorder.owes or self._ward.halted or message.key.customer_id in self._ward.barred:
            return False
        return not self._ward.quiet(message.key.customer_id)

    def _answered(self, letter: Letter, sent: Sent) -> Group[Result] | None:
        now, message = utc_now(), letter.message
        if sent.accepted:
            if not self.tally.accepted:
                self.accepting.set()
            self.tally.accepted += 1
            self.tally.broken = 0
            provider_id = sent.provider_id or letter.outgoing.key
            return self._record(Outcome(message.key, State.SENT, now, provider_id, reason=sent.reply))
        reason = self._ward.barred.get(message.key.customer_id)
        if reason not in (None, MERGED):
            return self._skip(message, str(reason))
        if self._capabilities.commit_before_submit:
            return self._record(Outcome(message.key, State.QUEUED, now, tried=False))
        return None

    def _skip(self, message: Due, reason: str) -> Group[Result] | None:
        """Nothing is written of one whose customer was merged: it is another's message now."""
        if reason == MERGED:
            return None
        return self._record(Outcome(message.key, State.SKIPPED, utc_now(), reason=reason))

    def _failed(self, message: Due, error: ChannelError) -> Group[Result]:
        doubted = message.key.customer_id in self._work.doubted
        follows = consequence(
            error,
            message,
            doubted=doubted,
            resend_in_doubt=self._capabilities.resend_in_doubt,
            now=utc_now(),
            policy=self._policy,
        )
        self.tally.pause = self.tally.pause or follows.pause
        self._count_broken(error)
        return self._record(follows.outcome, message.address if follows.bad_address else None)

    def _count_broken(self, error: ChannelError) -> None:
        """As many broken connections in a row as there are connections: the server is down."""
        self.tally.broken = self.tally.broken + 1 if error.connection and not error.about_recipient else 0
        if self.tally.broken >= min(self._lines.limit, len(self._work.due)):
            self.tally.down = error.text

    def _record(self, outcome: Outcome, bad_address: str | None = None) -> Group[Result]:
        gone = None if bad_address is None else (self._work.run.channel.address_kind, bad_address)
        self._ward.done.add(outcome.key.customer_id)
        group = self._desk.recorder.submit(Result(outcome, gone))
        if not self._records or self._records[-1] is not group:
            self._records.append(group)
        return group
