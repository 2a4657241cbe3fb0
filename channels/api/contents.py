from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from ajo.core.models import ApiKey
from ajo.core.rest.idempotency import at_most_once, idempotent
from ajo.core.rest.problems import Refused
from ajo.core.rest.views import SLUG, ViewSet
from channels import authoring, checklist, services
from channels.api import content_shapes as shapes
from channels.models import ChannelConfiguration, Content, ContentVersion
from channels.rendering import Words, sms
from channels.starting_points import STARTING_POINTS
from profiles.models import Channel, EventType, Profile


@extend_schema(tags=["contents"])
class ContentViewSet(ViewSet):
    order_by = "key"
    lookup_field = "key"
    lookup_value_regex = SLUG
    serializer_class = shapes.ContentSerializer
    queryset = Content.objects.none()
    scopes = {
        **dict.fromkeys(["list", "retrieve", "draft", "version", "preview"], "contents:read"),
        **dict.fromkeys(["create", "partial_update", "save_draft"], "contents:write"),
        "publish": "contents:publish",
        "proof": "contents:proof",
    }

    def get_queryset(self) -> QuerySet[Content]:
        versions = ContentVersion.objects.order_by("-number")
        return Content.objects.prefetch_related(Prefetch("versions", queryset=versions))

    def list(self, request: Request) -> Response:
        """All contents, by key."""
        return self.page(self.get_queryset())

    @extend_schema(
        request=shapes.NewContentSerializer,
        responses={201: shapes.ContentSerializer},
        examples=[
            OpenApiExample(
                "An email",
                {"key": "spring-news", "name": "Spring news", "starting_point": "newsletter"},
                request_only=True,
            )
        ],
    )
    @idempotent
    def create(self, request: Request) -> Response:
        """A new content; the draft of an email begins with a starting point."""
        asked = self.read(shapes.NewContentSerializer)
        channel = Channel[asked["channel"].upper()]
        words = {}
        if channel == Channel.EMAIL:
            point = STARTING_POINTS[asked["starting_point"]]
            words = {"subject": point.subject, "preheader": point.preheader, "mjml": point.mjml}
        try:
            version = services.create_content(
                key=asked["key"], name=asked["name"], channel=channel, variants=[words], user=self.person()
            )
        except services.ContentRefused as refused:
            raise Refused(
                str(refused), errors=[{"field": "key", "code": "taken", "message": str(refused)}]
            ) from None
        content = self.get_queryset().get(pk=version.content_id)
        return Response(self.get_serializer(content).data, HTTPStatus.CREATED)

    def retrieve(self, request: Request, key: str) -> Response:
        """One content and its versions."""
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.ContentNameSerializer)
    def partial_update(self, request: Request, key: str) -> Response:
        """Give a content another name."""
        asked = self.read(shapes.ContentNameSerializer)
        services.rename_content(content=self.get_object(), name=asked["name"], user=self.person())
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(responses=shapes.ContentDraftSerializer, operation_id="contents_draft_retrieve")
    @action(detail=True)
    def draft(self, request: Request, key: str) -> Response:
        """The draft; without one the words of the newest version, with revision null."""
        version = _newest(self.get_object())
        return Response(shapes.ContentDraftSerializer(version).data)

    @extend_schema(
        request=shapes.SavedContentDraftSerializer,
        responses=shapes.ContentDraftSerializer,
        operation_id="contents_draft_update",
    )
    @draft.mapping.put
    def save_draft(self, request: Request, key: str) -> Response:
        """Store the words of the draft, which begins with this when there is none.

        409 `stale_revision` when somebody was quicker; nothing changed then.
        """
        asked = self.read(shapes.SavedContentDraftSerializer)
        content = self.get_object()
        try:
            version = services.save_draft(
                key=content.key,
                name=content.name,
                channel=content.channel,
                variants=asked["variants"],
                revision=asked["revision"] or "",
                user=self.person(),
            )
        except services.StaleRevision as stale:
            raise Refused(str(stale), code="stale_revision") from None
        except services.ContentRefused as refused:
            raise ValidationError({"variants": refused.problems}) from None
        return Response(shapes.ContentDraftSerializer(version).data)

    @extend_schema(request=None, responses=shapes.ContentSerializer)
    @action(detail=True, methods=["post"])
    @idempotent
    def publish(self, request: Request, key: str) -> Response:
        """Freeze the draft. Journeys that are published from now on use it."""
        try:
            services.publish_content(content=self.get_object(), now=timezone.now(), user=self.person())
        except services.ContentRefused as refused:
            errors = [{"field": "", "code": "problem", "message": problem} for problem in refused.problems]
            raise Refused(str(refused), errors=errors) from None
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=shapes.PreviewRequestSerializer, responses=shapes.PreviewSerializer)
    @action(detail=True, methods=["post"])
    def preview(self, request: Request, key: str) -> Response:
        """Words as somebody would get them, with problems and checks. Stores and sends nothing.

        To preview as a profile needs the right to read profiles, too.
        """
        asked = self.read(shapes.PreviewRequestSerializer)
        words = asked["words"]
        content = self.get_object()
        mjml_source = words.pop("mjml")
        columns = tuple((name, source) for name, source in words.pop("columns"))
        authored = checklist.of_channel(content.channel, Words(**words, columns=columns), mjml_source)
        values = self._values(content, asked)
        found = authoring.preview(authored, values, asked["profile"])
        shown = found.shown
        return Response(
            {
                "is_rendered": shown is not None,
                "subject": shown.subject if shown else "",
                "preheader": found.preheader,
                "html": shown.html if shown else "",
                "text": shown.text if shown else "",
                "image_url": shown.image_url if shown else "",
                "link_url": shown.link_url if shown else "",
                "columns": shown.columns if shown else [],
                "parts": _parts(shown.text) if shown and content.channel == Channel.SMS else None,
                "problems": [asdict(finding) for finding in found.findings],
                "checks": [asdict(check) for check in found.checks],
                "values": values,
            }
        )

    @extend_schema(request=shapes.ProofRequestSerializer, responses=shapes.ProofSerializer)
    @action(detail=True, methods=["post"])
    @at_most_once
    def proof(self, request: Request, key: str) -> Response:
        """Send the draft, else the newest version, to one address, marked as a proof.

        It is no message: nothing is recorded for the profile and nothing is tracked. A repeat with the same
        Idempotency-Key never sends it twice; 409 `unknown_outcome` when the first one broke off.
        """
        asked = self.read(shapes.ProofRequestSerializer)
        content = self.get_object()
        configuration = ChannelConfiguration.objects.filter(key=asked["configuration"]).first()
        if configuration is None:
            raise _no("configuration", _("There is no channel configuration with this key."))
        variant = (
            _newest(content).variants.filter(treatment=asked["treatment"], locale=asked["locale"]).first()
        )
        if variant is None:
            raise _no("treatment", _("There is no variant for this treatment and locale."))
        values = self._values(content, asked, configuration)
        try:
            authoring.send_proof(
                content=content,
                authored=services.authored_words(variant),
                address=asked["address"].strip(),
                configuration=configuration,
                values=values,
                now=timezone.now(),
                user=self.person(),
                profile_id=asked["profile"],
            )
        except authoring.ProofRefused as refused:
            errors = [{"field": refused.field, "code": "refused", "message": str(refused)}]
            raise Refused(str(refused), errors=errors) from None
        match content.channel:
            case Channel.PUSH:
                sentence = _("The proof was sent to the devices of this person.")
            case Channel.WEBHOOK:
                sentence = _("The proof was sent to the system of this configuration.")
            case _:
                sentence = _("The proof was sent to %(address)s.") % {"address": asked["address"]}
        return Response({"detail": sentence})

    @extend_schema(responses=shapes.ContentVersionSerializer, operation_id="contents_versions_retrieve")
    @action(detail=True, url_path="versions/(?P<number>[0-9]{1,9})")
    def version(self, request: Request, key: str, number: str) -> Response:
        """One edition with its words."""
        version = self.get_object().versions.prefetch_related("variants").filter(number=int(number)).first()
        if version is None:
            raise NotFound(_("This content has no version %(number)s.") % {"number": number})
        return Response(shapes.ContentVersionSerializer(version).data)

    def _values(
        self, content: Content, asked: dict[str, Any], configuration: ChannelConfiguration | None = None
    ) -> dict[str, Any]:
        if asked["profile"] is not None:
            self._check_may_see_people()
            if not Profile.objects.filter(pk=asked["profile"]).exists():
                raise _no("profile", _("There is no profile with this id."))
        event_type = EventType.objects.filter(name=asked["event"]).first() if asked["event"] else None
        if asked["event"] and event_type is None:
            raise _no("event", _("There is no event with this name."))
        return authoring.values_for(
            content=content,
            profile_id=asked["profile"],
            event_type_id=event_type.pk if event_type else None,
            configuration=configuration,
        )

    def _check_may_see_people(self) -> None:
        auth = self.request.auth
        if isinstance(auth, ApiKey):
            is_allowed = "profiles:read" in auth.scopes
        else:
            is_allowed = self.request.user.has_perm("profiles.view_profile")
        if not is_allowed:
            raise PermissionDenied(
                _("To see words as a profile you need the right to read profiles. Leave `profile` out.")
            )


def _newest(content: Content) -> ContentVersion:
    """The draft, else the newest published version. A content has always had a draft."""
    version = content.versions.prefetch_related("variants").order_by("-number").first()
    if version is None:
        raise NotFound(_("This content has no version yet."))
    return version


def _parts(text: str) -> dict[str, Any]:
    found = sms.segments(text)
    return {**asdict(found), "encoding": found.encoding}


def _no(field: str, sentence: str) -> ValidationError:
    return ValidationError({field: [sentence]})
