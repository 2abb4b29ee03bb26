"""The daemon's counters as Prometheus's metrics.

    catalogue     every metric: its name, what it means, its labels
    view          the parts of the daemon that are read
    readings      the metrics' values; `pools` those of DNS, pools and targets
    exposition    values to text, in slices, so that no request waits for it
    daemon_pages  /metrics, and /readyz: whether requests should come here

Everything counts in plain integers where it happens; here they are only read.
"""
