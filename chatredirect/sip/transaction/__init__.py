"""Transactions (RFC 3261 §17, with the corrections of RFC 6026), sans-I/O.

    timers    the values of RFC 3261's table 4
    keys      what tells one transaction from another (§17.1.3, §17.2.3)
    tables    the state machines, as tables
    deadlines what is due when
    layer     all transactions: what is new, what is a retransmission, what is sent again when

A transaction knows when something is due for it (`Transaction.due`) and nothing of clocks: whoever
owns the layer keeps a heap of these times and says when one has come. What is to be sent is
given back as `Send`.
"""
