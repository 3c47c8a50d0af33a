"""Who may ask: browsers that show this page on this machine, and nobody by way of another site.

A page of another site can make a browser send requests to 127.0.0.1, or give its own name that address (DNS
rebinding). The first is known by the Origin and Sec-Fetch-Site headers, the second by the Host header.
"""

from __future__ import annotations

from collections.abc import Mapping

ADDRESS = "127.0.0.1"
_NAMES = {ADDRESS, "localhost", "[::1]"}

SAFE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every answer: the page loads nothing from elsewhere, and shows nothing elsewhere."""


def refusal(headers: Mapping[str, str], holds_data: bool) -> str | None:
    """Why a request is refused, in one line, or None. holds_data: the answer tells more than the page's own files."""
    host = headers.get("Host") or ""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.lower() not in _NAMES:
        return "this page answers to 127.0.0.1 and localhost only"
    origin = headers.get("Origin")
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return "requests from other sites are refused"
    # A link that leads here is fine; what it finds must not be read or shown by another site.
    if holds_data and headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return "requests from other sites are refused"
    return None
