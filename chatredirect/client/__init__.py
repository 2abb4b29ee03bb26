"""Requests that this program sends itself, and their responses: sockets and the clock.

The daemon pings targets, and `chatredirect probe` acts as an old client. `sip.client_request`
writes and matches the messages.
"""
