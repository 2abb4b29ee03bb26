"""The mode `lookup`: the Group Chat protocol's own redirect (MS-XCCOSIP), as a user agent server.

driver      hands messages to the core with the time, and carries out what the core asks for
core        all lookups, sans-I/O: messages and time in, messages and events out
uas         answers the INVITE that begins a lookup, and the requests in its dialog
uas_checks  what a user agent server refuses and supports (RFC 3261 §8.2)
session     the states of one lookup, as a table
events      what comes to the core, and what it reports
"""
