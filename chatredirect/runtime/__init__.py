"""What an event loop needs beside asyncio: slices, timers, threads. Knows no SIP."""
