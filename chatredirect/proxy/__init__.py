"""The mode `proxy`: a transaction-stateful, record-routing proxy to the pool (RFC 3261 §16).

attendant  the way in, with a clock: hands messages to the core, carries out what it says
core       open requests, their times, the next target
arrivals   a request for an endpoint       within    one in a dialog that came through here
checks     may it be forwarded at all      identity  whom to believe who somebody is
context    what is kept of one request     branches  what can happen to one sending of it
outcomes   what comes of that              answers   what is answered here
parcel     what is sent on                 penalties which targets are left for last
sides      our own addresses               token     what our Record-Route says, signed
effects    what the core asks of whoever has sockets
rules, endpoint, facts                     what it is told, and what it tells
"""
