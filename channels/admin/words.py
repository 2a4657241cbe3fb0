"""The page of a content that is no email: its words as plain fields, and what a person would see."""

from __future__ import annotations

import copy
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from channels import authoring, checklist, services
from channels.models import Content, ContentVersion, Variant
from channels.rendering import AUTHORED, Words
from profiles.models import Channel, Profile

_LINK_HELP = _("Where a tap leads. Clicks are counted.")
_FIELDS: dict[str, forms.Field] = {
    "subject": forms.CharField(
        label=_("Title"), max_length=500, required=False, widget=UnfoldAdminTextInputWidget
    ),
    "text": forms.CharField(
        label=_("Text"), required=False, strip=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 8})
    ),
    "image_url": forms.CharField(
        label=_("Picture"), max_length=2000, required=False, widget=UnfoldAdminTextInputWidget
    ),
    "link_url": forms.CharField(
        label=_("Link"),
        max_length=2000,
        required=False,
        help_text=_LINK_HELP,
        widget=UnfoldAdminTextInputWidget,
    ),
}
_TEXTS = {
    Channel.WEBHOOK: (_("JSON"), _("What the address is given. Values are escaped for JSON by themselves.")),
}
_COLUMNS = {
    Channel.DIRECT_MAIL: (_("Columns"), _("One column in each line: its name, a colon, its value.")),
    Channel.PUSH: (
        _("Values for the app"),
        _("One in each line: a name, a colon, its value. May stay empty."),
    ),
}


class ColumnsField(forms.CharField):
    """Lines of “name: Liquid” ⇄ a list of [name, Liquid]."""

    widget = UnfoldAdminTextareaWidget

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, list):
            return "\n".join(f"{name}: {source}" for name, source in value)
        return value

    def clean(self, value: Any) -> list[list[str]]:
        pairs = []
        for number, line in enumerate(super().clean(value).splitlines(), start=1):
            name, colon, source = line.partition(":")
            if line.strip() and not (colon and name.strip()):
                raise forms.ValidationError(
                    gettext("Line %(number)d has no name. Write a name, a colon and the value.")
                    % {"number": number}
                )
            if line.strip():
                pairs.append([name.strip(), source.strip()])
        return pairs


class WordsForm(forms.Form):
    """The fields that the channel has. `revision` is the draft that they were read from."""

    revision = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, channel: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in AUTHORED[channel]:
            if name in _FIELDS:
                self.fields[name] = copy.deepcopy(_FIELDS[name])
        if channel in _TEXTS:
            self.fields["text"].label, self.fields["text"].help_text = _TEXTS[Channel(channel)]
        if channel in _COLUMNS:
            label, help_text = _COLUMNS[Channel(channel)]
            self.fields["columns"] = ColumnsField(label=label, help_text=help_text, required=False)

    @property
    def words(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name != "revision"}


def words_page(request: HttpRequest, content: Content, context: dict[str, Any]) -> HttpResponse:
    """Shows the newest words; a POST saves them as the draft and, when asked, publishes it."""
    newest = content.versions.order_by("-number").first()
    draft = newest if newest is not None and newest.state == ContentVersion.State.DRAFT else None
    variants = list(newest.variants.all()) if newest else []
    base = next((each for each in variants if not each.treatment and not each.locale), Variant())
    may = {verb: request.user.has_perm(f"channels.{verb}_content") for verb in ("change", "publish")}
    if request.method == "POST":
        if not may["change"]:
            raise PermissionDenied
        form = WordsForm(content.channel, request.POST)
        if form.is_valid() and _save(
            request, content, form, [each for each in variants if each is not base], may
        ):
            return HttpResponseRedirect(request.path)
    else:
        first = {name: getattr(base, name) for name in AUTHORED[content.channel]}
        form = WordsForm(
            content.channel, initial={**first, "revision": services.revision_of(draft) if draft else ""}
        )
    person = Profile.objects.living().order_by("-pk").first()
    shown = authoring.preview(
        checklist.of_channel(content.channel, Words.of(base)),
        authoring.values_for(content=content, profile_id=person.pk if person else None),
        person.pk if person else None,
    )
    context |= {
        "content": content,
        "form": form,
        "draft": draft,
        "newest": newest,
        "others": len(variants) - (base in variants),
        "may": may,
        "person": person,
        "preview": shown,
        "channel": Channel(content.channel).name.lower(),
        "sample": "{{ profile.first_name }}",
    }
    return TemplateResponse(request, "admin/channels/content/words.html", context)


def _save(
    request: HttpRequest, content: Content, form: WordsForm, others: list[Variant], may: dict[str, bool]
) -> bool:
    """Whether all that was asked was done; else the form says what was not."""
    kept = [{name: getattr(each, name) for name in services.AUTHORED_FIELDS} for each in others]
    try:
        services.save_draft(
            key=content.key,
            name=content.name,
            channel=content.channel,
            variants=[form.words, *kept],
            revision=form.cleaned_data["revision"],
            user=request.user,
        )
    except services.StaleRevision as error:
        form.add_error(None, str(error))
        return False
    except services.ContentRefused as refused:
        form.add_error(None, " ".join(refused.problems))
        return False
    if "publish" not in request.POST or not may["publish"]:
        messages.success(request, gettext("The draft is saved."))
        return True
    try:
        version = services.publish_content(content=content, now=timezone.now(), user=request.user)
    except services.ContentRefused as refused:
        messages.error(
            request, gettext("The draft is saved, but not published: ") + " ".join(refused.problems)
        )
    else:
        messages.success(request, gettext("Version %(number)d is published.") % {"number": version.number})
    return True
