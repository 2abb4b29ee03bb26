"""The mode `proxy`: a transaction-stateful, record-routing proxy to the pool (RFC 3261 §16).

driver            passes messages and the time to the core, carries out what the core asks for
core              all open requests, their timers, sending and connecting
incoming_request  a request as it came in: checked, refused or admitted
new_requests      a request for an endpoint: targets, Record-Route
in_dialog         a request whose Route is ours
outgoing_request  a request as it goes out: our Via and Record-Route
record_route      what our Record-Route says, signed
response_context  one request: its branches, failover, the best response
branches          the states of a branch, as a table
known_targets     targets that have just failed, and the pools that dialogs may go on to
interfaces        what the core asks of the code that has sockets
events            what the core reports to the log and to the counters
settings          the proxy's part of a configuration
"""
