"""An example or more of each command, for `--help` and the manual page."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "run": (
        "chatredirect run --config config/chatredirect.yaml",
        "chatredirect run --log-format json 2>chatredirect.log",
    ),
    "reload": ("chatredirect reload",),
    "check": (
        "chatredirect check /etc/chatredirect/chatredirect.yaml",
        "chatredirect check --live",
    ),
    "resolve": (
        "chatredirect resolve pcpool.contoso.com",
        "chatredirect resolve pcpool.contoso.com --port 5061 --transport tls --ping",
    ),
    "probe": (
        "chatredirect probe sip:ocschat@contoso.com --via udp://127.0.0.1:5060",
        "chatredirect probe sip:ocschat@contoso.com --via tls://chatredirect.contoso.com:5061 "
        "--lookup",
    ),
    "status": ("chatredirect status", "chatredirect status --watch"),
    "trace": (
        "chatredirect trace --from bob@contoso.com",
        "chatredirect trace --endpoint sip:ocschat@contoso.com --for 5m --write calls.pcap",
    ),
    "page": ("chatredirect page",),
    "log-level": (
        "chatredirect log-level",
        "chatredirect log-level debug --for 10m",
        "chatredirect log-level configured",
    ),
    "endpoint": ("chatredirect endpoint get", "chatredirect endpoint new --help"),
    "endpoint new": (
        "chatredirect endpoint new --sip-address sip:ocschat@contoso.com "
        "--persistent-chat-pool-fqdn pcpool.contoso.com --mode lookup --port 5061 --transport tls",
        "chatredirect endpoint new -SipAddress sip:ocschat@contoso.com "
        "-PersistentChatPoolFqdn pcpool.contoso.com -Mode lookup -WhatIf",
        "chatredirect endpoint new --from-csv endpoints.csv --mode lookup --reload",
    ),
    "endpoint get": (
        "chatredirect endpoint get",
        "chatredirect endpoint get sip:ocschat@contoso.com",
        "chatredirect endpoint get --filter \"Mode -eq 'lookup'\" --json",
    ),
    "endpoint set": (
        "chatredirect endpoint set sip:ocschat@contoso.com --state maintenance --reload",
        "chatredirect endpoint set sip:ocschat@contoso.com "
        "--persistent-chat-pool-fqdn pcpool2.contoso.com --what-if",
    ),
    "endpoint remove": ("chatredirect endpoint remove sip:ocschat@contoso.com --what-if",),
    "usage": ("chatredirect usage", "chatredirect usage --by client --since 90d"),
    "usage verdict": (
        "chatredirect usage verdict --endpoint sip:ocschat@contoso.com --quiet-for 60d",
    ),
    "usage forget": ("chatredirect usage forget sip:bob@contoso.com",),
}
"""Command lines by the command's words."""
