"""What the daemon's counters say, in the words of Prometheus.

    catalogue   every metric: its name, what it means, its labels
    view        the parts of the daemon that are looked at
    readings    the metrics' values, from requests, connections, pools, … (a module for each)
    exposition  values to text, in slices, so that no request waits for it
    lag         how late the event loop is
    ready       whether requests should come here

Everything counts in plain integers where it happens; here they are only read. Nothing is imported
from here unless metrics are wanted.
"""
