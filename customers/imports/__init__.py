"""How files become records: bytes, characters, cells, units, batches.

source.py     the file's bytes, unpacked (.gz, .zip) with limits
encodings.py  which encoding they are in
cells.py      which delimiter; lines (lines.py) of cells, or why a line has none
mapping.py    which column is which field (given, or guessed by guess.py), read by transforms.py
units.py      what is one record: a line, or all lines of one key (grouping.py)
batches.py    units by the thousand; child.py: read in a process of its own
shape.py, drafts.py  lines of customers as the rows they would be (fields.py and columns.py read them, sheets.py lays
              the rows out), for taking.py to copy (familiar.py: of customers who are known)
run.py        batch by batch into the records, with an account
uploads.py    the same as a job, over a file that was uploaded in pieces
pending.py    uploads that wait to be confirmed; head.py: what the beginning of such a file looks like
"""
