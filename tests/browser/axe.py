"""Accessibility of a page as it stands in the browser: axe-core with the WCAG 2.0 and 2.1 rules, levels A and AA."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from playwright.sync_api import Page

from ajo.runtime import paths

SERIOUS = ("serious", "critical")
ANY = ("minor", "moderate", *SERIOUS)
_AXE = paths.REPOSITORY / "static" / "node_modules" / "axe-core" / "axe.min.js"
# A colour that is still fading would be measured half-way.
_SETTLE = """async () => {
    await document.fonts.ready;
    for (const animation of document.getAnimations()) {
        try { animation.finish(); } catch { animation.cancel(); }
    }
}"""
_RUN = """async (exclude) => {
    const options = {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], resultTypes: ["violations"]};
    return (await axe.run({exclude}, options)).violations;
}"""


@functools.cache
def _source() -> str:
    if not _AXE.exists():
        raise AssertionError(f"{_AXE.name} is not installed. Run `make setup`.")
    return _AXE.read_text()


def findings(page: Page, *, impacts: Sequence[str] = SERIOUS, exclude: Sequence[str] = ()) -> list[str]:
    """What axe finds on the open page, a sentence for each element; empty when all is well.

    `exclude` are CSS selectors of what is not ours to repair: say why where you name one.
    """
    # Evaluated, not added as a script element: the page's content security policy would refuse that.
    page.evaluate(_source())
    page.evaluate(_SETTLE)
    return [
        f"{rule['impact']} {rule['id']} at {' '.join(map(str, node['target']))}: {rule['help']}"
        f" ({'; '.join(check['message'] for check in [*node['any'], *node['all'], *node['none']])})"
        for rule in page.evaluate(_RUN, [[selector] for selector in exclude])
        if rule["impact"] in impacts
        for node in rule["nodes"]
    ]
