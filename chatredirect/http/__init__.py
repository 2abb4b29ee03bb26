"""A small HTTP server beside SIP, for metrics and health: aiohttp, behind limits of ours."""
