"""A small HTTP server beside SIP, for metrics and health.

counters   what came
pages      what there is to be had, and how it is told
listener   the address that a configuration names; no library is loaded before there is one
server     aiohttp behind limits of ours
"""
