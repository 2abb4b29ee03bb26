"""Sockets: octets in, octets out. Of SIP they only know how a stream is split into messages.

binding              sockets bound to an address, with errors that say what to do
raw_address          struct sockaddr_in and sockaddr_in6
mmsg                 recvmmsg and sendmmsg: many datagrams with one system call
mmsg_ctypes          the same by way of ctypes, where the compiled codec isn't used
unreachable          ICMP errors
udp_listener         a UDP listener
udp_sender           UDP to any target
admission            limits on connections and handshakes
acceptor             accepts connections, also without file descriptors
connection_settings  settings and counters of a group of connections
connection           a connection, accepted or opened: framing, keep-alive, timeouts
open_connections     those of a group, and how they are closed together
stream_listener      a TCP or TLS listener
outgoing             connections that we open, one to each target
socket_flows         the way back to a peer, and its name in a Record-Route
peer_identity        the names in a peer's certificate, who is allowed, and who is trusted
tls_contexts         TLS contexts, made from files, and when certificates expire
certificates         those in use, renewed when files change
"""
