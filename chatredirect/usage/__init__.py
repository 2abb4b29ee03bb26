"""Who still uses an endpoint: the ledger of uses.

identity      who called, and with which client, in one spelling
pseudonyms    how callers are named: by address, by a keyed hash of it, or all alike
probe_proof   how our own probe is known, which is no user
recorder      takes the uses as requests are served; `tally` adds them up per UTC day
writer        the thread that writes them, in batches
store         SQLite or PostgreSQL; `schema` has the tables, `store_faults` what goes wrong
figures       what the ledger comes to, for metrics
ledger        all of these in the running daemon
reader        one ledger or several as one, whether a daemon runs or not
grouping      the rows of `chatredirect usage`
verdicts      whether an endpoint may be turned off
page_usage    what the page shows
"""
