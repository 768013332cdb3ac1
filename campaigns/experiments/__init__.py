"""A/B/n tests: some of the audience get variants, the rest waits for what is decided on their opens, clicks or orders.

plan.py      what a campaign asks for, checked; who falls to which variant, and when; pure
check.py     the variants of a draft, compiled
editions.py  what each group of a run gets: content, sender, its place in the run's table of links
share.py     a run cut into batches and variants; what a freeze begins
numbers.py   what came of the variants, from the database
statistics.py  tests and intervals; pure
verdict.py   from the numbers of the variants to the decision; pure
decide.py    the decision of a run, at its due time or by hand, and what follows from it
outcome.py   what reports show of it
lift.py      what a campaign sold beyond those who were held out
"""
