"""The page in the browser: JSON objects to HTML. Knows no socket, no daemon and no database.

Each view is a pure function of the objects that `chatredirect status --json`, `usage --json` and
the HTTP API give. It returns pieces of HTML, so that the server can serve SIP between two of them.
"""
