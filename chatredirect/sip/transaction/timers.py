"""The timer values of RFC 3261 §17.1.1.1 and its table 4, in seconds."""

T1 = 0.5
"""What a round trip is taken to be."""
T2 = 4.0
"""The longest pause between two sendings of a non-INVITE request or of an INVITE's answer."""
T4 = 5.0
"""The longest that a message stays in the network."""
TIMEOUT = 64 * T1
"""Timers B, D, F, H, J, L and M: when nothing more is to be expected."""
