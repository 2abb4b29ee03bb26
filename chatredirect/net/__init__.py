"""Values about networks: hosts, ports, transports, targets, and our own names."""
