"""The mode `lookup`: the Group Chat protocol's own redirect (MS-XCCOSIP), as a user agent server.

driver           the way in, with a clock: hands messages to the core, carries out what it wants
core             all lookups: messages and time in, messages and events out
invites          answers INVITE: an offer, and whether there is room
dialog_requests  answers requests within a dialog; INFO carries the commands
uas_checks       what a user agent server refuses (RFC 3261 §8.2), and its 2xx
session          the states of one lookup, as a table
events           what the core reports
"""
