"""Stored words as people read them."""

from __future__ import annotations

import pytest

from web.words import link_name


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("{{ links.survey }}/csat/1", "Survey: 1 of 5"),
        ("{{ links.survey }}/nps/10", "Survey: 10 of 10"),
        ("{{ links.survey }}/nps", "Survey: Recommendation (NPS)"),
        ("https://a.example/{{ customer.external_id }}?x=1", "https://a.example/…?x=1"),
        ("https://a.example/csat/1", "https://a.example/csat/1"),
    ],
)
def test_a_link_is_read_without_template_code(link: str, words: str) -> None:
    assert link_name(link) == words
