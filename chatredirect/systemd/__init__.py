"""The interfaces of systemd: the daemon's state, the watchdog, and inherited sockets.

All are protocols of environment variables and datagrams, and do nothing without systemd. Logs for
the journal are made in `log.journal`.
"""
