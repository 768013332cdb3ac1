"""What a person should look at before sending; nothing here refuses."""

from __future__ import annotations

from campaigns.content.compiled import CompiledContent, Rendered


def preview_warnings(content: CompiledContent, rendered: Rendered) -> list[str]:
    """Plain English sentences: those of the compiled content and those of this rendering."""
    raise AssertionError
