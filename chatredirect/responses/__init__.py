"""Responses: planned, explained in words, and counted."""
