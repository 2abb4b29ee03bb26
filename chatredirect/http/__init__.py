"""A small HTTP server beside SIP, for metrics and health.

pages      pages, and counters of requests
listener   the address that a configuration names; loads aiohttp only when there is one
http_server  aiohttp behind limits of ours
"""
