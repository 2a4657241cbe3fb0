"""What the public pages have in common: their looks, and headers that let nothing in and tell nobody where one was."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _

UNKNOWN_TITLE: Final = _("This link is not known")
UNKNOWN_TEXT: Final = _("It may be incomplete. Please open it from the message again, or copy it in full.")

_STYLE: Final = (settings.BASE_DIR / "templates" / "tracking" / "style.css").read_text()
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}


@cache
def _style() -> str:
    return mark_safe(_STYLE)


def page(template: str, **values: Any) -> str:
    """One of our public pages, without anything of the product around it."""
    return render_to_string(f"tracking/{template}", {"style": _style(), **values})


def notice(title: Any, text: Any) -> str:
    """A page that says one thing."""
    return page("notice.html", title=title, text=text)
