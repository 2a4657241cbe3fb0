from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from channels import authoring, checklist

FRAGMENTS = st.sampled_from(
    [
        *["<", ">", "</", "/>", "<!", "<![", "<!--", "-->", "<![CDATA[", "]]>", "<?xml"],
        *['"', "'", "=", "&", "&#", "\n", "\0"],
        *["<mjml>", "</mjml>", "<mj-body>", "<mj-section>", "<mj-column>", "<mj-text ", "<mj-raw>"],
        *["<mj-image src='https://x/", "<mj-include path='x' />"],
        *["<style>", "</style>", "<script>", "<a href='", "<img ", "p { color: red }", "@media", "style='"],
        *["{{ profile.x }}", "{% if a %}", "{% endif %}", "{% for a in b %}", "{{", "%}", "{% raw %}"],
        "{{ 'a' | date: '%",
    ]
)  # fmt: skip
SOURCES = st.lists(st.one_of(FRAGMENTS, st.text(max_size=4)), max_size=25).map("".join)


@settings(max_examples=300, deadline=None)
@given(SOURCES, SOURCES, SOURCES, st.booleans())
@example("", "<![if x]><p>", "", False)
@example("", "<!DOCTYPE [<!x", "", False)
def test_whatever_is_typed_gets_an_answer(subject: str, body: str, text: str, is_mjml: bool) -> None:
    """An editor sends every half of a word; each must lead to a preview or to a problem."""
    authored = checklist.authored(
        subject=subject,
        preheader=subject,
        mjml_source=body if is_mjml else "",
        html_source="" if is_mjml else body,
        text=text,
    )
    seen = authoring.preview(authored, {"profile": {"x": "<b>"}, "event": {}})
    assert seen.shown is not None or any(finding.level == "error" for finding in seen.findings)
