"""A campaign to many people, live and due at once. Run in the lab's environment, after the brand was made.

`python -m tests.faults.crowd <key> <how many>` prints {"secret": …}, an API key that operates campaigns.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime

import django


def make_crowd(key: str, count: int, now: datetime) -> str:
    """Write the people, two lists and the campaign; every tenth person is excluded. The secret of an API key."""
    from ajo.core.models import ApiKey
    from campaigns import services
    from channels.models import ChannelConfiguration, Content, MessageClass
    from profiles.audiences import services as audiences
    from profiles.models import Audience, Profile

    people = Profile.objects.bulk_create(
        Profile(attributes={"email": f"{key}-{n}@crowd.example", "first_name": "Ada"}) for n in range(count)
    )
    lists = []
    for name, members in (("members", people), ("excluded", people[::10])):
        lists.append(Audience.objects.create(key=f"{key}-{name}", name=name, kind=Audience.Kind.LIST))
        audiences.replace_list(lists[-1], [person.pk for person in members], now=now)
    campaign = services.create_campaign(
        key=key,
        name=key,
        kind="scheduled",
        user=None,
        content=Content.objects.get(key="welcome"),
        configuration=ChannelConfiguration.objects.get(key="email"),
        message_class=MessageClass.TRANSACTIONAL,
        audience=lists[0],
        exclusions=[lists[1]],
    )
    services.submit_for_review(campaign=campaign, user=None, now=now)
    services.approve(campaign=campaign, user=None, now=now)
    scopes = ["campaigns:read", "campaigns:operate"]
    return str(ApiKey.objects.create_key(name=key, scopes=scopes)[1])


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ajo.settings")
    django.setup()
    sys.stdout.write(json.dumps({"secret": make_crowd(sys.argv[1], int(sys.argv[2]), datetime.now(UTC))}))
