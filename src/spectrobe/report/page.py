"""The page: templates filled in with every string escaped, one style and one script inside, nothing from outside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spectrobe.report.blocks import Section
from spectrobe.report.charts.layout import drawings, outline
from spectrobe.studies.paths import without_paths

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
    "base-uri 'none'; form-action 'none'"
)


def render(
    title: str, subtitle: str, sections: Sequence[Section], *, show_paths: bool, known_paths: Sequence[str]
) -> str:
    """The whole page as HTML. Every string is escaped; paths are cut to their last part unless `show_paths`."""

    def shown(value: Any) -> Any:
        """What is put in the place of a value: jinja escapes it afterwards."""
        if isinstance(value, Markup) or not isinstance(value, str) or show_paths:
            return value
        return without_paths(value, known_paths)

    environment = Environment(
        loader=PackageLoader("spectrobe.report"), autoescape=True, undefined=StrictUndefined, finalize=shown,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"drawings": drawings, "outline": outline}
    style, script = (_own_file(name) for name in ("style.css", "script.js"))
    policy = _POLICY.format(style=_hash(style), script=_hash(script))
    return environment.get_template("page.html.j2").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        style=Markup(style),  # a file of this package
        script=Markup(script),
        policy=Markup(policy),  # its quotes are its own, and a hash may look like a path
    )


def _own_file(name: str) -> str:
    return (files("spectrobe.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names an inline style or script."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
