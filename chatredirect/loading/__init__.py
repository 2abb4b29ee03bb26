"""Reads a configuration in another process, while the daemon handles requests.

A hundred thousand endpoints take seconds to parse and validate, and a thread would hold the
interpreter's lock. So a new process reads them. It inherits none of the daemon's sockets, threads
or memory, and sends the result in frames that take milliseconds each.
"""
