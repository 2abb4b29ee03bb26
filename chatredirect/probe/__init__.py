"""The engine of `chatredirect probe`: calls an endpoint as an old client does.

exchange        client transactions on one wire, reported step by step
call            one request to one target, with ACK, BYE or CANCEL after its response
first_request   the request that a probe begins with
probe           targets in turn, redirections, lookups
ladder, report  a probe as text while it runs, and as JSON
"""
