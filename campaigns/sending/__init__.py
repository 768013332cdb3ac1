"""How mail providers want to be treated, and what the workspace settled about it.

providers.py   domains that are one mail service, and how many connections the big ones like
limits.py      rates, connections and warm-up plans of senders and domains, as settled
warmup.py      a sender's daily ceilings; pure
congestion.py  when a domain asks for a pause, and how long it gets one; pure
thresholds.py  bounces and complaints that stop a campaign; pure but for keeping them
evidence.py    what came of the messages of running campaigns, by the tallies
judge.py       stopping what is over
release.py     a domain is written to again because somebody says so
overview.py    senders and domains as they stand, for the console and the API
"""
