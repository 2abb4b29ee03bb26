"""What is done with a request for an endpoint.

server         the table of answers: what a request gets, in the order that is promised
verdict        what that is, before it is written
redirection    the mode `redirect`: the 3xx with the pool in its Contact
lookup         the mode `lookup`: Group Chat's own redirect, in a dialog
registering    a REGISTER that has come to the wrong place
unavailable    a 480's header fields
"""
