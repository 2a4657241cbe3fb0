"""Who may do what: every role at every screen with every verb, by address."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import models
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from ajo.core import roles
from ajo.core.models import ApiKey, AuditEvent, User
from ajo.notices.models import LiveView
from ajo.shell import GROUPS, VERBS
from campaigns.models import Campaign, Notice
from channels import services as contents
from channels.models import (
    CauseKind,
    ChannelConfiguration,
    ContactPolicy,
    Content,
    Device,
    Message,
    MessageClass,
    SendHold,
)
from journeys import services as journeys
from journeys.models import Journey, JourneyInstance
from offers.decide import Ask, decide
from offers.models import Collection, Decision, DecisionPolicy, OfferItem, Placement, SelectionStrategy
from offers.plans import current_plan
from profiles.models import (
    AttributeDefinition,
    Audience,
    Channel,
    CodePool,
    EventType,
    Lookup,
    Profile,
    QuarantinedEvent,
    Source,
)
from tests.factories import make_configuration, make_event_type, make_profile, make_source
from tests.offers.helpers import make_offer, make_policy, make_strategy

pytestmark = pytest.mark.django_db

# What each role may do at each screen: l(ook), a(dd), c(hange), d(elete). What is not named is refused. Journeys
# and contents are changed on their canvas and in their editor, through the API; audiences and tables by their pages.
TABLES = (Audience, Lookup, CodePool)
OFFERS = (OfferItem, Placement, Collection, SelectionStrategy, DecisionPolicy)
ALLOWED: dict[str, dict[type[models.Model], str]] = {
    "viewer": {
        Journey: "l", JourneyInstance: "l", Content: "l", Profile: "l", EventType: "l",
        AttributeDefinition: "l", Message: "l", Device: "l", Campaign: "l", Notice: "l", **dict.fromkeys(TABLES, "l"),
        **dict.fromkeys((*OFFERS, Decision), "l"),
    },
    "marketer": {
        Journey: "la", JourneyInstance: "l", Content: "la", Profile: "l", EventType: "l",
        AttributeDefinition: "lac", Message: "l", Device: "l", SendHold: "l", ContactPolicy: "l",
        Campaign: "lac", Notice: "lac",
        **dict.fromkeys(TABLES, "la"), **dict.fromkeys(OFFERS, "lac"), Decision: "l",
    },
    "approver": {
        Journey: "l", JourneyInstance: "l", Content: "l", Profile: "l", EventType: "l",
        AttributeDefinition: "l", Message: "l", Device: "l", SendHold: "lacd", ContactPolicy: "lacd",
        Campaign: "l", Notice: "l",
        **dict.fromkeys(TABLES, "l"), **dict.fromkeys((*OFFERS, Decision), "l"),
    },
    "operations": {},
    "developer": {
        Journey: "l", JourneyInstance: "l", Content: "l", Profile: "l", EventType: "l",
        AttributeDefinition: "lac", Message: "l", Device: "l", SendHold: "l", ContactPolicy: "l", Source: "lac",
        QuarantinedEvent: "l",
        ApiKey: "lac", ChannelConfiguration: "l", Campaign: "l", Notice: "l", **dict.fromkeys(TABLES, "l"),
        **dict.fromkeys((*OFFERS, Decision), "l"),
    },
    "privacy": {
        JourneyInstance: "l", Profile: "l", EventType: "l", AttributeDefinition: "lc", Message: "l", Device: "l",
        AuditEvent: "l",
    },
    "administrator": {
        Journey: "la", JourneyInstance: "l", Content: "la", Profile: "l", EventType: "l",
        AttributeDefinition: "lacd", Message: "l", Device: "l", SendHold: "lacd", ContactPolicy: "lacd", Source: "lac",
        QuarantinedEvent: "l",
        ApiKey: "lac", ChannelConfiguration: "lac", User: "lac", Group: "lacd", AuditEvent: "l",
        Campaign: "lac", Notice: "lac", LiveView: "lacd", **dict.fromkeys(TABLES, "la"),
        **dict.fromkeys(OFFERS, "lac"), Decision: "l",
    },
}  # fmt: skip


def make_colleague(*role_keys: str, name: str = "") -> User:
    user = User.objects.create_user(name or "-".join(role_keys) or "nobody")
    user.groups.set(Group.objects.filter(name__in=role_keys))
    user.is_staff = roles.makes_staff(role_keys)
    user.save()
    return user


@pytest.fixture
def one_of_each() -> dict[type[models.Model], models.Model]:
    """An object of every kind that the admin shows."""
    profile = make_profile()
    journey = journeys.create_journey(key="welcome", name="Welcome", user=None)
    version = journey.versions.get()
    draft = contents.save_draft(key="welcome", name="Welcome", variants=[{"subject": "Hi", "text": "Hi"}])
    instance = JourneyInstance.objects.create(
        journey=journey, version=version, profile=profile, entry_no=1, activity="end", visit=1,
        entered_at=timezone.now(),
    )  # fmt: skip
    message = Message.objects.create(
        profile=profile, cause_kind=CauseKind.JOURNEY_INSTANCE, cause_id=instance.pk, activity="email", visit=1,
        channel=Channel.EMAIL, origin_id=version.pk, configuration=make_configuration(),
        variant=draft.variants.get(), message_class=MessageClass.MARKETING, state=Message.State.SENT,
    )  # fmt: skip
    key, _secret = ApiKey.objects.create_key(name="reports")
    user = User.objects.create_user("somebody")
    audience = Audience.objects.create(key="in-the-park", name="In the park")
    strategy = make_strategy(make_offer("sweater"))
    policy = make_policy(strategy)
    decide([Ask(profile.pk)], current_plan(policy.key, "hero", timezone.now()), timezone.now())
    return {
        OfferItem: OfferItem.objects.get(),
        Placement: Placement.objects.get(),
        Collection: strategy.collection,
        SelectionStrategy: strategy,
        DecisionPolicy: policy,
        Decision: Decision.objects.get(),
        Audience: audience,
        Lookup: Lookup.objects.create(key="rides", name="Rides", changed_at=timezone.now()),
        CodePool: CodePool.objects.create(key="sorry", name="Sorry"),
        Journey: journey,
        JourneyInstance: instance,
        Content: draft.content,
        Profile: profile,
        EventType: make_event_type(),
        AttributeDefinition: AttributeDefinition.objects.create(key="city", label="City"),
        Message: message,
        Device: Device.objects.create(
            profile=profile, provider="fcm", digest=b"0" * 16, token="t", last_seen_at=timezone.now()
        ),
        ContactPolicy: ContactPolicy.objects.create(most=3),
        SendHold: SendHold.objects.create(scope=SendHold.Scope.EVERYTHING, reason="A test"),
        Source: make_source(),
        QuarantinedEvent: QuarantinedEvent.objects.create(
            event_id="0" * 32, batch_id=1, consumer="journeys", error="x"
        ),
        ApiKey: key,
        ChannelConfiguration: ChannelConfiguration.objects.get(),
        User: user,
        Group: Group.objects.create(name="Friends"),
        AuditEvent: AuditEvent.record("sign_in", user, user=user),
        Campaign: Campaign.objects.create(key="survey", name="Survey"),
        Notice: Notice.objects.create(
            key="ride-closed", name="A ride is closed", content=draft.content,
            configuration=ChannelConfiguration.objects.get(),
            audience=audience,
        ),
        LiveView: LiveView.objects.create(journey=journey, label="Onboarding"),
    }  # fmt: skip


def url(model: type[models.Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def attempts(client: Client, found: models.Model) -> dict[str, Callable[[], int]]:
    """For each verb a call by address, which answers the status."""
    model = type(found)
    return {
        "l": lambda: client.get(url(model, "changelist")).status_code,
        "a": lambda: client.get(url(model, "add")).status_code,
        # A post that changes nothing valid: 200 shows the form again, 302 saved it, 403 refuses.
        "c": lambda: client.post(url(model, "change", found.pk), {}).status_code,
        "d": lambda: client.get(url(model, "delete", found.pk)).status_code,
    }


def test_the_matrix_names_every_screen(one_of_each: dict[type[models.Model], models.Model]) -> None:
    assert set(one_of_each) == set(admin.site._registry)
    assert set(ALLOWED) == set(roles.BY_KEY)


@pytest.mark.parametrize("role", ALLOWED)
def test_each_role_may_do_this_and_nothing_else(
    client: Client, one_of_each: dict[type[models.Model], models.Model], role: str
) -> None:
    client.force_login(make_colleague(role))
    wrong = []
    for model, found in one_of_each.items():
        for verb, attempt in attempts(client, found).items():
            status = attempt()
            is_allowed = verb in ALLOWED[role].get(model, "")
            # Who is not staff is sent to the login page, which a signed-in person sees as a refusal too.
            refused = {403, 405} if roles.BY_KEY[role].is_staff else {302}
            if status not in (({200, 302}) if is_allowed else refused):
                wrong.append(f"{model.__name__} {verb}: {status}")
    assert not wrong


@pytest.mark.parametrize("role", ["viewer", "marketer", "developer", "privacy"])
def test_who_may_not_publish_is_refused_by_address(client: Client, role: str) -> None:
    user = make_colleague(role)
    assert not user.has_perm("journeys.publish_journey")
    assert not user.has_perm("journeys.operate_journey")
    assert not user.has_perm("channels.publish_content")


def test_an_approver_publishes_but_does_not_write() -> None:
    user = make_colleague("approver")
    assert user.has_perm("journeys.publish_journey")
    assert user.has_perm("channels.publish_content")
    assert not user.has_perm("journeys.change_journey")
    assert not user.has_perm("channels.change_content")


def test_operations_see_nothing_of_the_administration(client: Client) -> None:
    client.force_login(make_colleague("operations"))
    for path in ("/admin/", "/admin/account/", "/admin/search/?s=journey", "/admin/journeys/journey/"):
        assert client.get(path)["Location"].startswith("/admin/login/"), path
    assert "data-tile" not in client.get("/").content.decode()


@pytest.mark.parametrize("role", [key for key in ALLOWED if roles.BY_KEY[key].is_staff])
def test_the_sidebar_and_the_palette_offer_only_what_opens(client: Client, role: str) -> None:
    client.force_login(make_colleague(role))
    page = client.get("/admin/").content.decode()
    offered = client.get("/admin/search/", {"s": "new", "extended": "1"}).content.decode()
    for _title, places in GROUPS:
        for place in places:
            assert (f'href="{place.url}"' in page) == (client.get(place.url).status_code == 200), place.url
    for verb in VERBS:
        opens = client.get(reverse(verb.url_name)).status_code == 200
        if "new" in str(verb.title).lower():
            assert (f'href="{reverse(verb.url_name)}"' in offered) == opens, verb.url_name


# --- the table and the database ----------------------------------------------------------------------------------


def held(role: str) -> set[str]:
    rows = Permission.objects.filter(group__name=role).values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


@pytest.mark.parametrize("role", roles.ROLES, ids=lambda role: role.key)
def test_every_permission_of_a_role_exists(role: roles.Role) -> None:
    assert held(role.key) == role.permissions()


def test_migrating_again_repairs_roles_and_leaves_other_groups_alone() -> None:
    viewer, own = Group.objects.get(name="viewer"), Group.objects.create(name="Friends")
    surplus = Permission.objects.get(codename="add_user")
    viewer.permissions.set([surplus])
    own.permissions.set([surplus])
    call_command("migrate", verbosity=0)
    assert held("viewer") == roles.BY_KEY["viewer"].permissions()
    assert held("Friends") == {"core.add_user"}


# --- users -------------------------------------------------------------------------------------------------------

PASSWORD = "correct-horse-battery"


def user_form(**fields: object) -> dict[str, object]:
    return {"username": "ada", "time_zone": "UTC", "is_active": "on", **fields}


def test_a_role_opens_the_administration_and_its_loss_closes_it(admin_client: Client) -> None:
    marketer = Group.objects.get(name="marketer")
    admin_client.post(
        reverse("admin:core_user_add"),
        {"username": "ada", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD,
         "groups": [marketer.pk]},
    )  # fmt: skip
    ada = User.objects.get(username="ada")
    assert ada.is_staff
    assert ada.has_perm("journeys.add_journey")

    operations = Group.objects.get(name="operations")
    admin_client.post(reverse("admin:core_user_change", args=[ada.pk]), user_form(groups=[operations.pk]))
    ada = User.objects.get(username="ada")
    assert not ada.is_staff
    assert [group.name for group in ada.groups.all()] == ["operations"]


def test_an_administrator_does_not_become_a_superuser(client: Client, admin_user: User) -> None:
    administrator = make_colleague("administrator")
    client.force_login(administrator)
    group = Group.objects.get(name="administrator")
    own = reverse("admin:core_user_change", args=[administrator.pk])
    client.post(own, user_form(username="administrator", is_superuser="on", is_staff="on", groups=[group.pk]))
    administrator.refresh_from_db()
    assert not administrator.is_superuser

    root = reverse("admin:core_user_change", args=[admin_user.pk])
    assert client.post(root, user_form()).status_code == 403
    assert client.get(reverse("admin:auth_user_password_change", args=[admin_user.pk])).status_code == 403


def test_a_role_cannot_be_changed_but_a_group_of_ones_own_can(admin_client: Client) -> None:
    viewer = Group.objects.get(name="viewer")
    change = reverse("admin:auth_group_change", args=[viewer.pk])
    assert admin_client.post(change, {"name": "viewer"}).status_code == 403
    assert admin_client.post(reverse("admin:auth_group_delete", args=[viewer.pk])).status_code == 403
    publish = Permission.objects.get(codename="publish_journey")
    admin_client.post(reverse("admin:auth_group_add"), {"name": "Publishers", "permissions": [publish.pk]})
    assert held("Publishers") == {"journeys.publish_journey"}


def test_a_key_is_no_way_to_rights_that_its_maker_does_not_have(client: Client) -> None:
    client.force_login(make_colleague("developer"))
    add = reverse("admin:core_apikey_add")
    client.post(add, {"name": "mine", "scopes": ["journeys:publish"]})
    assert not ApiKey.objects.exists()
    client.post(add, {"name": "mine", "scopes": ["profiles:read"]})
    assert ApiKey.objects.get().scopes == ["profiles:read"]
    strong, _secret = ApiKey.objects.create_key(name="strong", scopes=["journeys:publish"])
    change = reverse("admin:core_apikey_change", args=[strong.pk])
    assert client.post(change, {"name": "strong", "scopes": ["profiles:read"]}).status_code == 403
