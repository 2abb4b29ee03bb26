"""The control socket: how an operator's command talks to the running daemon.

A Unix socket whose file permissions say who may. One connection is one request: a line of JSON
there, lines of JSON back, the last of which is the verdict. Every bound is a number in `protocol`.

    protocol       the lines, the bounds, and how a handler says no
    place          the socket's file: taken over from a crash, never from a live daemon
    conversation   one request as its handler sees it
    server         accepts, reads, calls the handler, writes; counts what went wrong
    client         what a command of ours asks with
"""
