"""Content without I/O: compiled once a campaign, rendered per person.

    content = compile_content(subject=…, html=…)        raises Invalid, naming every culprit
    stored = content.to_json()                          the snapshot of an approved campaign
    content = CompiledContent.from_json(stored)
    rendered = content.render(person, links)            raises RenderFailed: only this recipient fails
    url = content.click_target(index, person)           where a click goes; scheme and host are the template's own
"""

from campaigns.content.compiled import CompiledContent, Link, MessageLinks, Rendered, RenderFailed
from campaigns.content.compiler import compile_content
from campaigns.content.warnings import preview_warnings

__all__ = [
    "CompiledContent",
    "Link",
    "MessageLinks",
    "RenderFailed",
    "Rendered",
    "compile_content",
    "preview_warnings",
]
