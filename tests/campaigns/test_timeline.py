"""A person's timeline says which campaign, notice or call wrote to them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ajo.timeline import Kind, timeline
from campaigns import notices, requests
from campaigns.models import Notice
from tests.campaigns.helpers import freeze, make_campaign, make_list, make_people, make_words, start
from tests.factories import NOW

pytestmark = pytest.mark.django_db


def test_a_message_names_its_author() -> None:
    (ada,) = make_people(1)
    audience = make_list("buyers", [ada])
    start(make_campaign(audience, key="survey", name="Autumn survey"))
    notice = Notice.objects.create(
        key="closed", name="Ride closed", audience=audience, is_ready=True, **make_words()
    )
    notices.send_notice(notice=notice, values={}, form_id=uuid4(), user=None, now=NOW)
    freeze()
    receipt = make_campaign(None, key="receipt", name="Receipt", kind="triggered", next_run_at=None)
    recipient = requests.Recipient(profile_id=ada.pk)
    requests.send(campaign=receipt, request_id="1", recipients=[recipient], context={}, body=1, now=NOW)

    found = [entry for entry in timeline(ada.pk).entries if entry.kind is Kind.MESSAGE]
    texts = [entry.text.rpartition("caused by ")[2] for entry in found]

    assert sorted(texts) == [
        "a call of the campaign “Receipt”.", "the campaign “Autumn survey”.", "the notice “Ride closed”.",
    ]  # fmt: skip
