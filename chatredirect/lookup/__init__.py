"""The mode `lookup`: Group Chat's own redirect (MS-XCCOSIP).

channels    which channel service a caller is sent to
xccos       the commands in an INFO, and the replies to them
endpoint    what a lookup endpoint is made of, and its Contact
states      the states of a lookup, as a table
lookup      one lookup: its dialog, its state, what it still has to send
answers     answers with what a user agent adds to them
invites     from an INVITE to a lookup, or to why there is none
within      requests within a lookup's dialog
core        all lookups: messages and time in, messages and events out; no socket, no clock
"""
