"""What people do to audiences. Each deed has its line in the audit trail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from ajo.core.models import AuditEvent
from ajo.lib import doorbell
from profiles.audiences import services, uploads
from profiles.audiences.rules import parse_rule
from profiles.audiences.services import Refused
from profiles.catalog import read_catalog
from profiles.language import Call, LanguageError, Literal, Node
from profiles.language.nodes import children
from profiles.models import Audience, IdentityNamespace, Membership

KEEP = "profiles.tasks.keep_audiences"


class KeyTaken(Refused):
    """There is an audience with this key."""


def with_size(audiences: QuerySet[Audience]) -> QuerySet[Audience]:
    """Each with `size`, how many profiles are in it, which is counted: a million cost about a tenth of a second."""
    members = Membership.objects.filter(audience=OuterRef("pk")).order_by().values("audience")
    counted = Subquery(members.annotate(n=Count("profile")).values("n"), output_field=IntegerField())
    return audiences.annotate(size=Coalesce(counted, 0))


def create(
    *, key: str, name: str, kind: str, description: str = "", rule: str = "", user: Any = None
) -> Audience:
    """A draft. Raises KeyTaken, Refused when a list is given a rule, LanguageError when the rule is none."""
    if rule and kind != Audience.Kind.RULE:
        raise Refused(_("A list has no rule. Leave the rule out, or make an audience of the kind “rule”."))
    audience = Audience(key=key, name=name, kind=kind, description=description)
    try:
        with transaction.atomic():
            audience.save(force_insert=True)
            AuditEvent.record("create_audience", audience, user=user, name=name, kind=kind)
            if rule:
                write_rule(audience=audience, text=rule, user=user)
    except IntegrityError:
        raise KeyTaken(
            _("There is an audience with the key “%(key)s” already. Choose another key.") % {"key": key}
        ) from None
    return audience


@transaction.atomic
def describe(*, audience: Audience, name: str, description: str, user: Any = None) -> None:
    """Another name or description."""
    before = {"name": audience.name, "description": audience.description}
    changes = {
        field: [before[field], after]
        for field, after in (("name", name), ("description", description))
        if before[field] != after
    }
    if changes:
        audience.name, audience.description = name, description
        audience.save(update_fields=["name", "description"])
        AuditEvent.record("change_audience", audience, user=user, changes=changes)


@transaction.atomic
def write_rule(*, audience: Audience, text: str, user: Any = None) -> None:
    """Raises Refused for a list or an archived audience, LanguageError when the rule is none."""
    if audience.kind != Audience.Kind.RULE:
        raise Refused(_("A list has no rule. Upload who is in it."))
    if audience.state == Audience.State.ARCHIVED:
        raise Refused(_("The audience is archived. Activate it first."))
    before = audience.rule
    services.write_rule(audience, text)
    if audience.rule != before:
        AuditEvent.record("change_audience", audience, user=user, changes={"rule": [before, audience.rule]})
        doorbell.ring_on_commit(KEEP)


@transaction.atomic
def activate(*, audience: Audience, user: Any = None) -> None:
    """Raises Refused or LanguageError, as services.activate() does."""
    services.activate(audience)
    AuditEvent.record("activate_audience", audience, user=user)
    doorbell.ring_on_commit(KEEP)


@transaction.atomic
def archive(*, audience: Audience, user: Any = None) -> None:
    """Nobody is in it afterwards. Raises Refused while a rule names it that is kept true."""
    if users := _active_users(audience.key):
        raise Refused(
            _("The rule of %(others)s names it. Take it out of that rule first.")
            % {"others": ", ".join(f"“{other.name}”" for other in users)}
        )
    services.archive(audience)
    AuditEvent.record("archive_audience", audience, user=user)
    doorbell.ring_on_commit(KEEP)


@transaction.atomic
def evaluate(*, audience: Audience, user: Any = None) -> None:
    """Have everybody looked at again. Raises Refused unless its rule is kept true."""
    changed = Audience.objects.filter(
        pk=audience.pk, kind=Audience.Kind.RULE, state=Audience.State.ACTIVE
    ).update(evaluated_through=0)
    if not changed:
        raise Refused(_("Only an active audience with a rule can be evaluated. Activate it first."))
    audience.refresh_from_db()
    AuditEvent.record("evaluate_audience", audience, user=user)
    doorbell.ring_on_commit(KEEP)


def upload(
    *,
    audience: Audience,
    namespace: IdentityNamespace,
    lines: Sequence[uploads.Line],
    makes_missing: bool = False,
    now: datetime,
    user: Any = None,
) -> uploads.Uploaded:
    """Raises Refused or uploads.Unreadable, as uploads.upload() does. Not one transaction: it locks people in pieces,
    each in id order; when it fails on the way, the same call again makes it whole."""
    done = uploads.upload(audience, namespace.pk, lines, makes_missing=makes_missing, now=now)
    AuditEvent.record(
        "upload_audience",
        audience,
        user=user,
        namespace=namespace.key,
        lines=done.lines,
        people=done.people,
        made=done.made,
        unmatched=len(done.unmatched),
    )
    return done


def _active_users(key: str) -> list[Audience]:
    rules = Audience.objects.filter(kind=Audience.Kind.RULE, state=Audience.State.ACTIVE)
    return [other for other in rules if services.rules.names_audience(other.rule, key)]


def read_rule(text: str) -> Node:
    """The tree of a rule that somebody writes. Raises LanguageError with its place."""
    if not text.strip():
        raise LanguageError("There is no rule yet.", "Add a condition.")
    return parse_rule(text, read_catalog(knows_history=True))


def doubts(tree: Node) -> list[str]:
    """What a rule that is none the worse for it names in vain: audiences that are not kept, one statement."""
    named = set(_named_audiences(tree))
    kept = set(
        Audience.objects.filter(key__in=named, state=Audience.State.ACTIVE).values_list("key", flat=True)
    )
    return [
        _("No active audience has the key “%(key)s”, so nobody is in it.") % {"key": key}
        for key in sorted(named - kept)
    ]


def _named_audiences(node: Node) -> Iterable[str]:
    match node:
        case Call(name="inAudience", args=(Literal(value=str(key)),)):
            yield key
    for child in children(node):
        yield from _named_audiences(child)
