"""Transactions (RFC 3261 §17, with the corrections of RFC 6026), sans-I/O.

state_machines  the state machines as tables, and the values of the timers (RFC 3261 table 4)
steps           the tables, made ready to be carried out
matching        what identifies a transaction (§17.1.3, §17.2.3)
layer           all transactions: what is new, what is a retransmission, what is sent again
timer_heap      items by the time at which they are due
"""
