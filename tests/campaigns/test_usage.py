from __future__ import annotations

import pytest

from campaigns.models import Campaign, Notice
from channels import usage as content_usage
from profiles.audiences import usage as audience_usage
from tests.campaigns.helpers import make_campaign, make_list, make_words
from tests.factories import make_variant
from tests.support import count_statements

pytestmark = pytest.mark.django_db


def test_campaigns_and_notices_are_named_where_what_they_use_is_changed() -> None:
    buyers, staff = make_list("buyers", []), make_list("staff", [])
    make_campaign(buyers, key="survey", exclusions=[staff])
    make_campaign(buyers, key="over", state=Campaign.State.FINISHED)
    all_clear = make_variant("open-again").version.content
    notice = Notice.objects.create(
        key="closed", name="Closed", audience=buyers, all_clear_content=all_clear, **make_words()
    )
    notice.exclusions.set([staff])

    with count_statements() as statements:
        contents = content_usage.uses_of(["welcome", "open-again", "other"])
    audiences = audience_usage.uses_of(["buyers", "staff", "other"])

    assert {key: [use.name for use in uses] for key, uses in contents.items()} == {
        "welcome": ["Survey", "Closed"], "open-again": ["Closed"],
    }  # fmt: skip
    assert {key: [use.name for use in uses] for key, uses in audiences.items()} == {
        "buyers": ["Survey", "Closed"], "staff": ["Survey", "Closed"],
    }  # fmt: skip
    assert contents["open-again"][0].url == f"/admin/campaigns/notice/{notice.pk}/change/"
    assert len(statements) <= 4
