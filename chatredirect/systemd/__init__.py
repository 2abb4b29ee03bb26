"""The interfaces of systemd: the daemon's state, the watchdog, and inherited sockets.

    notify      sd_notify(3): READY, STATUS, RELOADING, STOPPING, and the watchdog's keep-alives
    inherited   sockets that systemd has bound, matched to `listen`

All are protocols of environment variables and datagrams, and do nothing without systemd. Logs for
the journal are made in `log.journal`.
"""
