"""Sockets: bytes in, bytes out. Of SIP they know only how a stream is cut into messages.

binding      sockets bound to an address, with errors that say what to do
datagrams    recvmmsg and sendmmsg: many datagrams with one system call
udp          a UDP listener
admission    who may open another connection
acceptor     accepting connections, also when the file descriptors run out
stream       a TCP or TLS listener
connection   a connection, accepted or opened: framing, keep-alive, patience with limits
settings        what connections go by: whom to ask, how patient to be
open_connections  those of one owner, and how all of them end
flow         a way back to where a message came from
flow_book    names for flows, short enough for a Record-Route
outgoing     connections that we open, one to each target
dialled      the owner of one of these
reachable    where a peer can open a connection to us
datagram_ways  UDP to whom one likes
tls          TLS contexts, made of files
certificate  whose certificate it is
purpose      what it was issued for
secure       what TLS adds to a listener: who is let in
"""
