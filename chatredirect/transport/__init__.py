"""Sockets: bytes in, bytes out. Of SIP they know only how a stream is cut into messages.

datagrams    recvmmsg and sendmmsg: many datagrams with one system call
udp          a UDP listener
stream       a TCP listener and its connections
binding      sockets bound to an address, with errors that say what to do
"""
