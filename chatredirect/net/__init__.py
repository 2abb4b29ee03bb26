"""Values about networks: hosts, ports, transports, targets, our own names, and whom we refused."""
