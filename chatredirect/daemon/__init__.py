"""The life of the process: signals, the control socket, the configuration's files."""
