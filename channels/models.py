"""The tables of this room."""

from channels.email.models import mailbox

__all__ = ["mailbox"]
