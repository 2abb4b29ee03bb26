"""What `chatredirect status` shows: the daemon at a glance, troubles first.

An answer is JSON of a documented form (docs/commands.md) and is gathered in slices: with a hundred
thousand endpoints it takes a while, and no request waits for it.

    overview     the daemon itself: version, configuration, listeners, certificates, log
    traffic      what came, what it got, and who is connected
    pools        where endpoints lead, and whether it works
    endpoints    each with mode, state, counts, and what is wrong with it
    command      the control socket's command
    sheet        for people
"""
