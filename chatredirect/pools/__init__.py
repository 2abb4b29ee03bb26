"""The targets of each pool: resolved again and again, pinged, and ordered."""
