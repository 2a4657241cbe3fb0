"""Audiences in the administration: a list, a short form for a new one, and the page where the rule is built."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.db.models.functions import TruncDate
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST, require_safe
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from profiles.audiences import authoring, builder, probe, suggestions, uploads, usage, wording
from profiles.audiences.services import Refused
from profiles.language import LanguageError, Node, parse_checked, print_tree
from profiles.models import Audience, AudienceExit, IdentityNamespace, Membership, Profile
from profiles.services import living_profiles, owners_of

State, Kind = Audience.State, Audience.Kind
SHOWN_MEMBERS = 25
DAYS = 14
MOST_SHOWN_UNMATCHED = 10_000
_STATE_COLORS = {State.ACTIVE.label: "success", State.DRAFT.label: "info", State.ARCHIVED.label: "warning"}


class UploadForm(forms.Form):
    """A list of people as a file or as text."""

    file = forms.FileField(
        label=_("File"),
        required=False,
        widget=UnfoldAdminFileFieldWidget({"accept": ".csv,.txt,text/csv,text/plain"}),
    )
    text = forms.CharField(
        label=_("Or paste it here"), required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    namespace = forms.ModelChoiceField(
        label=_("What the values are"),
        queryset=IdentityNamespace.objects.order_by("pk"),
        widget=UnfoldAdminSelectWidget,
    )
    column = forms.CharField(label=_("Column"), required=False, max_length=200)
    makes_missing = forms.BooleanField(
        label=_("Make a profile for each identity that nobody has"), required=False
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        file, text = cleaned.get("file"), cleaned.get("text", "")
        if file is not None:
            try:
                text = file.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise forms.ValidationError(
                    _("The file is not in UTF-8. Save it as “CSV UTF-8” and upload it again.")
                ) from None
        if not text.strip():
            raise forms.ValidationError(_("There is no list. Choose a file or paste one."))
        if namespace := cleaned.get("namespace"):
            try:
                cleaned["lines"] = uploads.read_csv(text, cleaned.get("column") or namespace.key)
            except uploads.Unreadable as error:
                raise forms.ValidationError(str(error)) from None
        return cleaned


class Day(NamedTuple):
    """How many entered on a day and how many left, also as heights in percent of the highest of all."""

    day: date
    entered: int
    left: int
    up: float
    down: float


@admin.register(Audience)
class AudienceAdmin(ModelAdmin):
    """What changes an audience goes through `authoring`, which writes the audit trail."""

    list_display = ["name", "shown_kind", "shown_state", "shown_size", "shown_change", "key"]
    list_filter = ["kind", "state"]
    search_fields = ["name", "key"]
    fields = ["name", "key", "kind", "description"]
    radio_fields = {"kind": admin.VERTICAL}
    prepopulated_fields = {"key": ["name"]}

    def has_delete_permission(self, request: HttpRequest, obj: Audience | None = None) -> bool:
        return False  # campaigns and rules refer to it: archive it instead

    def get_queryset(self, request: HttpRequest) -> QuerySet[Audience]:
        return authoring.with_size(super().get_queryset(request))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Counts who came and went in all audiences of the page at once."""
        page = super().get_changelist_instance(request)
        shown, yesterday = [audience.pk for audience in page.result_list], timezone.now() - timedelta(days=1)
        came = Membership.objects.filter(audience__in=shown, entered_at__gt=yesterday)
        gone = AudienceExit.objects.filter(audience__in=shown, left_at__gt=yesterday)
        came_back = gone.filter(entered_at__gt=yesterday)
        entered, again, left = (
            dict(rows.order_by().values_list("audience").annotate(n=Count("profile")))
            for rows in (came, came_back, gone)
        )
        for audience in page.result_list:
            audience.entered = entered.get(audience.pk, 0) + again.get(audience.pk, 0)
            audience.left = left.get(audience.pk, 0)
        return page

    @display(description=_("Kind"))
    def shown_kind(self, audience: Audience) -> str:
        return audience.get_kind_display()

    @display(description=_("State"), label=_STATE_COLORS, ordering="state")
    def shown_state(self, audience: Audience) -> str:
        return audience.get_state_display()

    @display(description=_("People"), ordering="size")
    def shown_size(self, audience: Audience) -> str:
        return f"{audience.size:,}"  # type: ignore[attr-defined]

    @display(description=_("Came and went in 24 hours"))
    def shown_change(self, audience: Any) -> str:
        if not (audience.entered or audience.left):
            return "–"
        return f"+{audience.entered:,} / −{audience.left:,}"

    def save_model(self, request: HttpRequest, obj: Audience, form: Any, change: bool) -> None:
        made = authoring.create(
            key=obj.key, name=obj.name, kind=obj.kind, description=obj.description, user=request.user
        )
        obj.pk = made.pk

    def response_add(
        self, request: HttpRequest, obj: Audience, post_url_continue: str | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(_page_url(obj))

    def get_urls(self) -> list[URLPattern]:
        def door(route: str, view: Any, name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), name=f"profiles_audience_{name}")

        return [
            door("preview/", require_POST(self.preview), "preview"),
            door("suggest/", require_safe(self.suggest), "suggest"),
            door("<int:audience_id>/rule/", require_POST(self.save_rule), "rule"),
            door("<int:audience_id>/upload/", require_POST(self.upload), "upload"),
            door("<int:audience_id>/do/", require_POST(self.act), "do"),
            door("<int:audience_id>/describe/", require_POST(self.describe), "describe"),
            *super().get_urls(),
        ]

    # --- the page --------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        audience = self._audience(request, int(object_id) if object_id.isdecimal() else 0)
        if request.method not in {"GET", "HEAD"}:
            raise PermissionDenied
        return self._page(request, audience)

    def _audience(self, request: HttpRequest, audience_id: int, *, to_change: bool = False) -> Any:
        if not self.has_view_permission(request) or (to_change and not self.has_change_permission(request)):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=audience_id)

    def _page(
        self, request: HttpRequest, audience: Any, *, status: int = HTTPStatus.OK, **context: Any
    ) -> HttpResponse:
        may_change = self.has_change_permission(request)
        tree = parse_checked(audience.rule) if audience.rule else None
        labels, days = probe.read_labels(), _days(audience)
        found = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": audience.name,
            "original": audience,
            "audience": audience,
            "size": f"{audience.size:,}",
            "is_rule": audience.kind == Kind.RULE,
            "may_change": may_change,
            "may_see_people": request.user.has_perm("profiles.view_profile"),
            "variant": _STATE_COLORS[State(audience.state).label],
            "progress": _progress(audience),
            "sentence": wording.in_words(tree, labels) if tree else "",
            "boot": self._boot(request, audience, tree, **context.pop("typed", {})),
            "form": UploadForm(initial={"namespace": IdentityNamespace.EMAIL}),
            "days": days,
            "entered_in_days": sum(day.entered for day in days),
            "left_in_days": sum(day.left for day in days),
            "uses": usage.uses_of([audience.key]).get(audience.key, []),
            "described": {"name": audience.name, "description": audience.description},
            **_members(request, audience),
            **_why(request, audience, tree),
            **context,
        }
        return TemplateResponse(request, "admin/profiles/audience/page.html", found, status=status)

    def _boot(
        self,
        request: HttpRequest,
        audience: Audience,
        tree: Node | None,
        *,
        document: Any = None,
        text: str | None = None,
        problems: Iterable[dict[str, str]] = (),
    ) -> dict[str, Any]:
        """What the builder is told by its page. `document` and `text`: what somebody typed that could not be saved."""
        if document is None and text is None:
            text = audience.rule
            document = builder.from_tree(tree) if tree else {"match": "all", "rows": []}
        return {
            "document": document,
            "text": text or "",
            "problems": list(problems),
            "isEditable": self.has_change_permission(request) and audience.state != State.ARCHIVED,
            "operators": [
                {"name": name, "label": str(each.label), "wants": each.wants, "types": sorted(each.types)}
                for name, each in builder.OPERATORS.items()
            ],
            "attributes": suggestions.attributes(),
            "events": list(suggestions.events()),
            "audiences": suggestions.audiences(but=audience.key),
            "lookups": suggestions.lookups(),
            "previewUrl": reverse("admin:profiles_audience_preview"),
            "suggestUrl": reverse("admin:profiles_audience_suggest"),
        }

    # --- what the builder asks -------------------------------------------------------------------------------

    def preview(self, request: HttpRequest) -> HttpResponse:
        """A rule as text and as a document, what is wrong with it, and how many it would find. Stores nothing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            asked = json.loads(request.body)
            tree, text = _read(asked.get("document"), asked.get("text"))
        except (ValueError, AttributeError, RecursionError) as error:
            return JsonResponse({"problems": _problems(error)})
        found = probe.estimate(tree, now=timezone.now())
        may_see = request.user.has_perm("profiles.view_profile")
        return JsonResponse(
            {
                "problems": [],
                "text": text,
                "document": builder.from_tree(tree),
                "sentence": wording.in_words(tree, probe.read_labels()),
                "doubts": authoring.doubts(tree),
                "estimate": {
                    "count": found.count,
                    "of": found.of,
                    "share": found.share,
                    "isExact": found.is_exact,
                    "note": found.in_words(),
                    "sample": [_person_json(person) for person in found.sample] if may_see else [],
                },
            }
        )

    def suggest(self, request: HttpRequest) -> HttpResponse:
        """Known values of `?attribute=`, or the properties of `?event=` with theirs."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if attribute := request.GET.get("attribute", "").replace("\0", ""):
            may_see = request.user.has_perm("profiles.view_profile")
            return JsonResponse({"values": suggestions.values_of(attribute) if may_see else []})
        event = request.GET.get("event", "").replace("\0", "")
        return JsonResponse({"properties": suggestions.properties_of(event)})

    # --- what changes it -------------------------------------------------------------------------------------

    def save_rule(self, request: HttpRequest, audience_id: int) -> HttpResponse:
        """The rule as the builder or the text field had it; what cannot be saved is shown again."""
        audience = self._audience(request, audience_id, to_change=True)
        is_text = request.POST.get("mode") != "builder"
        typed: dict[str, Any] = {"text": request.POST.get("text", "")}
        try:
            if not is_text:
                typed["document"] = json.loads(request.POST.get("document", ""))
            _tree, text = _read(typed.get("document"), typed["text"])
            authoring.write_rule(audience=audience, text=text, user=request.user)
        except (LanguageError, Refused, ValueError) as error:
            messages.error(request, gettext("The rule was not saved: something is missing or wrong in it."))
            typed["problems"] = _problems(error)
            return self._page(request, audience, status=HTTPStatus.UNPROCESSABLE_ENTITY, typed=typed)
        if audience.state == State.ACTIVE:
            messages.success(request, gettext("The new rule is in force. Everybody is being looked at."))
        else:
            messages.success(
                request, gettext("The rule is saved. Activate the audience to put people into it.")
            )
        return HttpResponseRedirect(_page_url(audience))

    def act(self, request: HttpRequest, audience_id: int) -> HttpResponse:
        """Activate it, archive it or have everybody looked at again."""
        audience = self._audience(request, audience_id, to_change=True)
        deeds = {
            "activate": (
                authoring.activate,
                gettext("The audience is active. Everybody is being looked at."),
            ),
            "archive": (authoring.archive, gettext("The audience is archived. Nobody is in it any more.")),
            "evaluate": (authoring.evaluate, gettext("Everybody is being looked at again.")),
        }
        if request.POST.get("verb") not in deeds:
            raise Http404
        act, said = deeds[request.POST["verb"]]
        try:
            act(audience=audience, user=request.user)
        except (Refused, LanguageError) as refused:
            messages.error(request, str(refused))
        else:
            messages.success(request, said)
        return HttpResponseRedirect(_page_url(audience))

    def describe(self, request: HttpRequest, audience_id: int) -> HttpResponse:
        """Another name or description."""
        audience = self._audience(request, audience_id, to_change=True)
        name = request.POST.get("name", "").strip()[:200]
        if not name:
            messages.error(request, gettext("An audience needs a name. Nothing was changed."))
        else:
            description = request.POST.get("description", "").strip()[:10_000]
            authoring.describe(audience=audience, name=name, description=description, user=request.user)
            messages.success(request, gettext("Saved."))
        return HttpResponseRedirect(_page_url(audience))

    def upload(self, request: HttpRequest, audience_id: int) -> HttpResponse:
        """Put exactly the people of a list into it, and show who was not found."""
        audience = self._audience(request, audience_id, to_change=True)
        form = UploadForm(request.POST, request.FILES)
        if not form.is_valid():
            return self._page(request, audience, form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        asked = form.cleaned_data
        try:
            done = authoring.upload(
                audience=audience,
                namespace=asked["namespace"],
                lines=asked["lines"],
                makes_missing=asked["makes_missing"],
                now=timezone.now(),
                user=request.user,
            )
        except (Refused, uploads.Unreadable) as error:
            form.add_error(None, str(error))
            return self._page(request, audience, form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        messages.success(request, _said_of(done))
        audience = self._audience(request, audience_id)
        return self._page(request, audience, uploaded=done, download=_download(done.unmatched))


def _page_url(audience: Audience) -> str:
    return reverse("admin:profiles_audience_change", args=[audience.pk])


def _read(document: Any, text: Any) -> tuple[Node, str]:
    """The tree of a document, or of a text without one, and its text. Raises Unfit, LanguageError or ValueError."""
    if document is not None:
        text = print_tree(builder.to_tree(document))
    if not isinstance(text, str):
        raise ValueError(gettext("There is no rule yet."))
    return authoring.read_rule(text), text


def _problems(error: Exception) -> list[dict[str, str]]:
    """{path, message} of what is wrong; the path leads to a row of the builder."""
    match error:
        case builder.Unfit():
            return [{"path": error.path, "message": error.message}]
        case LanguageError():
            place = ""
            if error.position and (error.position.line > 1 or error.position.column > 1 or error.token):
                place = gettext("Line %(line)s, column %(column)s: ") % {
                    "line": error.position.line,
                    "column": error.position.column,
                }
            return [{"path": "", "message": f"{place}{error.problem} {error.remedy}"}]
        case Refused():
            return [{"path": "", "message": str(error)}]
    return [{"path": "", "message": gettext("This is no rule. Load the page again.")}]


def _progress(audience: Audience) -> int | None:
    """Percent of the profiles that a full evaluation has come to; None when none is under way."""
    if audience.evaluated_through is None:
        return None
    newest = Profile.objects.order_by("-pk").values_list("pk", flat=True).first() or 1
    return min(100, 100 * audience.evaluated_through // newest)


def _days(audience: Audience) -> list[Day]:
    """The last two weeks in the reader's zone: three statements that read who came or went in them."""
    first = timezone.localdate() - timedelta(days=DAYS - 1)
    since = timezone.make_aware(datetime.combine(first, datetime.min.time()))
    # Who entered since then and is not in it any more also left since then, so an index leads to them all.
    gone = audience.exits.filter(left_at__gte=since)
    entered, left = Counter[date](), Counter[date]()
    for count, rows, moment in (
        (entered, audience.memberships.filter(entered_at__gte=since), "entered_at"),
        (entered, gone.filter(entered_at__gte=since), "entered_at"),
        (left, gone, "left_at"),
    ):
        by_day = rows.annotate(day=TruncDate(moment)).order_by().values_list("day")
        count.update(dict(by_day.annotate(n=Count("profile"))))
    most = max([*entered.values(), *left.values(), 1])
    return [
        Day(
            day,
            entered[day],
            left[day],
            round(100 * entered[day] / most, 1),
            round(100 * left[day] / most, 1),
        )
        for day in (first + timedelta(days=n) for n in range(DAYS))
    ]


def _members(request: HttpRequest, audience: Audience) -> dict[str, Any]:
    """A page of who is in it, by the ids of the profiles, or those whom `?q=` names."""
    query = request.GET.get("q", "").strip().replace("\0", "")
    after = request.GET.get("after", "")
    rows = audience.memberships.select_related("profile").order_by("profile_id")
    if query:
        rows = rows.filter(profile_id__in=_people(query))
    elif after.isdecimal() and len(after) < 19:
        rows = rows.filter(profile_id__gt=int(after))
    found = list(rows[: SHOWN_MEMBERS + 1])
    members = found[:SHOWN_MEMBERS]
    return {
        "members": members,
        "query": query,
        "is_later": bool(after),
        "next": members[-1].profile_id if len(found) > SHOWN_MEMBERS else None,
    }


def _people(text: str) -> set[int]:
    """Who owns the text as an identity, or has it as a number."""
    found = owners_of(text)
    if text.isdecimal() and len(text) < 19:
        found |= set(living_profiles([int(text)]).values())
    return found


def _why(request: HttpRequest, audience: Audience, tree: Node | None) -> dict[str, Any]:
    """Why the person whom `?why=` names is in it or not."""
    asked = request.GET.get("why", "").strip().replace("\0", "")
    if not asked or not request.user.has_perm("profiles.view_profile"):
        return {"asked": ""}
    person = Profile.objects.filter(pk__in=_people(asked), merged_into=None).first()
    if person is None:
        return {"asked": asked, "person": None}
    return {
        "asked": asked,
        "person": person,
        "membership": audience.memberships.filter(profile=person).first(),
        "finding": probe.explain(tree, person.pk, now=timezone.now()) if tree else None,
    }


def _person_json(person: Profile) -> dict[str, str]:
    return {
        "name": str(person),
        "email": str(person.attributes.get("email") or ""),
        "url": reverse("admin:profiles_profile_change", args=[person.pk]),
    }


def _said_of(done: uploads.Uploaded) -> str:
    said = ngettext(
        "%(n)s person is in the audience now.", "%(n)s people are in the audience now.", done.people
    )
    sentences = [said % {"n": f"{done.people:,}"}]
    if done.made:
        said = ngettext("%(n)s profile was made.", "%(n)s profiles were made.", done.made)
        sentences.append(said % {"n": f"{done.made:,}"})
    return " ".join(sentences)


def _download(unmatched: Iterable[uploads.Unmatched]) -> str:
    """The lines that stand for nobody as a CSV in a link of its own: nothing is kept for later."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["line", "value", "reason"])
    writer.writerows(list(unmatched)[:MOST_SHOWN_UNMATCHED])
    return "data:text/csv;base64," + base64.b64encode(out.getvalue().encode()).decode()
