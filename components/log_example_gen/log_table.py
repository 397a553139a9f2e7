"""The table in which a log is gathered: columns of our own, which no column of a log can take.

A log may call its columns `split`, `row_id` or `rank`, and its tables `log`: ours have a prefix
with a space, and a schema of their own.
"""

from __future__ import annotations

SCHEMA = "ranklite"  # apart from the tables that a query reads
LOG = f"{SCHEMA}.log"
LOADED = f"{SCHEMA}.loaded"  # all rows that could be read, bad ones marked, in their order
REJECTED = f"{SCHEMA}.rejected"

PREFIX = "ranklite "
ROW = f'"{PREFIX}row"'  # number of the row in the log, from 1
NUMBER = f'"{PREFIX}number"'  # of a row of a part of the log: its number in there, from 1
NTH = f'"{PREFIX}nth"'  # number of a negative behind its positive; -1 of the positive
PLACE = f'"{PREFIX}place"'  # number of a row among all, negatives included
SPLIT = f'"{PREFIX}split"'
EARLIER = "earlier"  # in place of a split: rows of spans before the window, only the past of others
LABEL = f'"{PREFIX}label"'
TIME = f'"{PREFIX}time"'  # microseconds since 1970
RAW = f'"{PREFIX}raw"'  # of some rows of a query's result: JSON of what the features read
WRONG = f'"{PREFIX}wrong"'  # of `LOADED`: what is wrong with the row, "" if nothing
NONE = f'"{PREFIX}none"'  # a column of a file that has none of those that are needed
