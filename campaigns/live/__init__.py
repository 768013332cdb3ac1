"""What is going on right now, for those who watch: counted once, then added to.

figures.py   what there is to see, as values
base.py      the exact counts of runs as of one snapshot of the database: the one look that scans messages
heads.py     which campaigns are under way, and in which state; small
board.py     a campaign's figures in memory: a base, and the tallies (tracking/tallies.py) committed since
forecast.py  when it will be done; pure
watcher.py   one poller a process, however many watch
"""
