"""The client's side: requests that this program sends itself, and their responses.

The daemon pings targets, and `chatredirect probe` acts as an old client. `sip.client_request`
writes and matches the messages; here are the sockets and the clock.

    wire       a connection to one target, one class per transport
    tls        the server's identity, or why there is no connection, and what may help
    timing     when a request is sent again
    identity   random tags, branches and Call-IDs
    next_hop   where a request goes: by its URI, or by what a person writes
"""
