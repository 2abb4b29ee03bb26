"""Reading a configuration in a process of its own, for a daemon that has requests to answer.

A hundred thousand endpoints take seconds to parse and validate, in a thread as well: Python does
one thing at a time. So another process reads, starting from nothing (nothing of the daemon's
sockets, threads or memory comes with it), and hands the result over in pieces that take
milliseconds each.

    frames    what goes through the pipe
    child     the reading process: `python -m chatredirect.loading FILE`
    parent    starts it, bounds it, and puts the pieces together
"""
