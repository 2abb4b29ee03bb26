"""Who still uses an endpoint. Sans-I/O so far: the values of the ledger, and one day's tallies."""
