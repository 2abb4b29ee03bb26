"""What `chatredirect status` shows: the daemon at a glance, troubles first.

An answer is JSON of a documented form (docs/commands.md). It is gathered in slices: with a hundred
thousand endpoints it takes a while, and no request waits for it.

    overview        the parts of an answer
    refused         the part about refusals
    status_handler  the control socket's command
    sheet           an answer for people
    status_text     what the terminal and the page say alike
"""
