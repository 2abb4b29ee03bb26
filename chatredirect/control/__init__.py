"""The control socket: commands talk to the running daemon over it.

A Unix socket whose file permissions say who may connect. One connection is one request: the client
sends a line of JSON, the daemon sends lines of JSON, of which the last is the result.
"""
