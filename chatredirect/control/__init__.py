"""The control socket: commands talk to the running daemon over it.

A Unix socket whose file permissions say who may connect. One connection is one request: the client
sends a line of JSON, the daemon sends lines of JSON, of which the last is the result.

    protocol         the lines, their limits, and how a handler refuses
    socket_file      the socket's file: taken over after a crash, never from a running daemon
    control_server   accepts, reads, calls the handler, answers; counts what went wrong
    client           sends a command's request
"""
