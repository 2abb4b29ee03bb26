"""A small HTTP server beside SIP, for metrics, health and the page: aiohttp, behind our limits."""
