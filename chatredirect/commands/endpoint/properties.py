"""An endpoint's properties as the cmdlets call them: columns of a CSV file, words of a filter."""

PROPERTIES = {
    "sipaddress": "sip_address",
    "persistentchatpoolfqdn": "pool_fqdn",
    "poolfqdn": "pool_fqdn",
    "displayname": "display_name",
    "mode": "mode",
    "port": "port",
    "transport": "transport",
    "state": "state",
    "activefrom": "active_from",
}
"""Their names, without case and without signs between words, and the YAML key that each is."""
