"""The mode `proxy`: a transaction-stateful, record-routing proxy to the pool (RFC 3261 §16).

effects    what the core asks of whoever has sockets
"""
