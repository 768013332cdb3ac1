"""The counting sink, thinking every group of commands over before it answers.

However fast the sender is, no connection takes more than a hundred mails a second: a campaign lasts long enough for
what is done to it meanwhile, and then every connection waits for the answer to a final dot.
"""

from __future__ import annotations

import asyncio
import sys

from tests.acceptance.counting_sink import Conversation, serve

SECONDS = 0.01


class Deliberate(Conversation):
    def _answer(self, answers: bytes, *, last: bool) -> None:
        asyncio.get_running_loop().call_later(SECONDS, self._answered, answers, last)

    def _answered(self, answers: bytes, last: bool) -> None:
        if not self._transport.is_closing():
            super()._answer(answers, last=last)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Deliberate))
