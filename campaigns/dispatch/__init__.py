"""Sending: a batch is loaded, rendered, handed over and recorded.

batch.py     the job: one batch from its load to its follow-up
work.py      what a batch needs, loaded in a few statements; the session is closed before anything is sent
letters.py   one person's message, rendered and composed
delivery.py  handing messages over on several connections
lines.py     the connections of a process, shared by its batches
recorder.py  results, recorded by group commit
watch.py     pause, cancel, lost claims and withdrawn consents, noticed within two seconds
turns.py     whose turn it is: which message of the batch goes next, and when
traffic.py   what all batches of a process know of rates, warm-ups and recipient domains
domains.py   how one recipient domain is doing; pure
buckets.py   messages a second, shared by all workers
quota.py     what a sender that is being warmed up may still send today
underway.py  which messages of a batch are under way, and how many connections they take
queue.py     the place of a run's batches in the queue
verdicts.py  what follows from a failure; pure
"""
