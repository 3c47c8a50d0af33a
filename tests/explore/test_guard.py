"""Who may ask: this page on this machine, and no other site by way of the user's browser."""

from __future__ import annotations

import pytest

from spectrobe.explore.guard import refusal

HERE = "127.0.0.1:8765"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": HERE},
        {"Host": "localhost:8765"},
        {"Host": "LOCALHOST:9"},  # another port: a tunnel to this one
        {"Host": "[::1]:8765"},
        {"Host": "127.0.0.1"},
        {"Host": HERE, "Origin": f"http://{HERE}", "Sec-Fetch-Site": "same-origin"},
        {"Host": HERE, "Sec-Fetch-Site": "none"},
    ],
)
def test_this_page_may_ask(headers: dict[str, str]) -> None:
    assert refusal(headers, holds_data=True) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": ""},
        {"Host": "evil.example"},
        {"Host": "evil.example:8765"},
        {"Host": "127.0.0.1.evil.example:8765"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": "0.0.0.0:8765"},
        {"Host": "localhost:8765:80"},
        {"Host": HERE, "Origin": "http://evil.example"},
        {"Host": HERE, "Origin": "http://127.0.0.1:9999"},  # another program's page on this machine
        {"Host": HERE, "Origin": f"https://{HERE}"},
        {"Host": HERE, "Origin": "null"},
        {"Host": HERE, "Sec-Fetch-Site": "cross-site"},
        {"Host": HERE, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_others_may_not(headers: dict[str, str]) -> None:
    why = refusal(headers, holds_data=True)
    assert why is not None and "\n" not in why


def test_a_link_from_another_site_may_lead_here() -> None:
    assert refusal({"Host": HERE, "Sec-Fetch-Site": "cross-site"}, holds_data=False) is None
    assert refusal({"Host": "evil.example", "Sec-Fetch-Site": "cross-site"}, holds_data=False) is not None
