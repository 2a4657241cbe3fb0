"""What a person told somebody of us about being written to, other than by a click of their own."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Any

from ajo.core.models import AuditEvent
from channels import services
from profiles.models import Channel, Consent, Profile

ACTION = "set_consent"
"""In the audit, with the profile: channel and state in words, reason, changed_at as the consent has it."""


def note_consent(
    *, profile: Profile, channel: int, state: int, reason: str, now: datetime, user: Any = None
) -> bool:
    """Set a consent, with its line in the audit. Opting out withholds what is queued, as an unsubscribe does.

    False when a message was being sent just then and may still arrive.
    """
    audit = functools.partial(
        AuditEvent.record,
        ACTION,
        profile,
        user=user,
        channel=Channel(channel).name.lower(),
        state=Consent.State(state).name.lower(),
        reason=reason,
        changed_at=now.isoformat(),
    )
    if state == Consent.State.OPTED_OUT:
        return services.unsubscribe(
            profile_id=profile.pk, channel=channel, reason=reason, now=now, audit=audit
        )
    services.resubscribe(profile_id=profile.pk, channel=channel, reason=reason, now=now, audit=audit)
    return True
