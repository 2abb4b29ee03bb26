"""What a service manager wants of a daemon: word of what it does, and use of what it was given.

    notify      sd_notify(3): READY, STATUS, RELOADING, STOPPING, WATCHDOG
    watchdog    signs of life, from the event loop and from nothing else
    inherited   sockets that systemd has bound, matched to `listen`

Each is a protocol of environment variables and one datagram at a time, and does nothing where no
systemd is. Logs for the journal are made in `log.journal`.
"""
