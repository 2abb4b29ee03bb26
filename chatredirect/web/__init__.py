"""The page's server: who gets in, the routes, the HTTP API and its event streams. Read-only.

It imports aiohttp, and so nothing imports it before a page is configured.
"""
