"""The mode `proxy`: a transaction-stateful, record-routing proxy to the pool (RFC 3261 §16).

driver            the way in, with a clock: hands messages to the core, carries out what it wants
core              all open requests, their timers, sending and connecting
new_requests      a request for an endpoint: checks, targets, Record-Route
in_dialog         a request whose Route is ours
response_context  one request: its branches, failover, the best response
branches          the states of a branch, as a table
incoming_request  refusals, of which nothing is kept
record_route      what our Record-Route says, signed
interfaces        what the core asks of whoever has sockets
"""
