"""What is done with a request for an endpoint.

server         the table of answers: what a request gets, in the order that is promised
redirection    the mode `redirect`: the 3xx with the pool in its Contact
"""
