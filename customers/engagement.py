"""How engaged somebody is: points for what they do with messages, which halve every 90 days.

A household hears of us about once a month, so a quarter without any answer makes it half as engaged. `activity` keeps
the instant at which the score will have fallen to one point (runtime/fading.py); what is earned is written in
tracking/folds.py.
"""

from __future__ import annotations

from datetime import timedelta

from runtime.fading import Fading

ENGAGEMENT = Fading(timedelta(days=90))
