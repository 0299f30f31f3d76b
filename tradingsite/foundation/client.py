"""Who is on the other end of a request."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def address(request: HttpRequest) -> str:
    """The client's IP address, "" when unknown.

    Each of our `TRUSTED_PROXIES` proxies appends the address it saw to X-Forwarded-For; only these last entries are
    believed, everything left of them was written by the client.
    """
    peer = str(request.META.get("REMOTE_ADDR", ""))
    proxies = int(getattr(settings, "TRUSTED_PROXIES", 0))
    if proxies:
        chain = [
            part.strip()
            for part in str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
            if part.strip()
        ]
        if len(chain) >= proxies:
            peer = chain[-proxies]
    try:
        return str(ipaddress.ip_address(peer))
    except ValueError:
        return ""
