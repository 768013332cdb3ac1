"""Content without I/O: compiled once a campaign, rendered per person.

`compile_content` checks and compiles; `CompiledContent.to_json` is the snapshot of an approved campaign; `write`
makes one person's message for sending and `render` for reading, and where they raise RenderFailed only that person is
concerned; `click_target` says where a click goes.
"""

from campaigns.content.compiled import CompiledContent, RenderFailed
from campaigns.content.compiler import compile_content
from campaigns.content.values import Link, MessageLinks, Rendered, Written
from campaigns.content.warnings import preview_warnings

__all__ = [
    "CompiledContent",
    "Link",
    "MessageLinks",
    "RenderFailed",
    "Rendered",
    "Written",
    "compile_content",
    "preview_warnings",
]
