"""The forms of the pages of offers. What they cannot know, `offers.authoring` says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.forms.formsets import BaseFormSet
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from offers.models import (
    CappingRule,
    Collection,
    DecisionPolicy,
    OfferItem,
    Placement,
    Representation,
    SelectionStrategy,
)
from offers.services import OfferRefused

MAX_CAPS = 10
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WHEN = "%Y-%m-%dT%H:%M"


class Moment(UnfoldAdminTextInputWidget):
    """A day and a time in the reader's zone, as the browser lets one choose them."""

    def __init__(self) -> None:
        super().__init__(attrs={"type": "datetime-local"})

    def format_value(self, value: Any) -> Any:
        return value.strftime(_WHEN) if hasattr(value, "strftime") else value


class Expression(UnfoldAdminTextareaWidget):
    """The text of an expression; the page checks it while it is written."""

    def __init__(self, rows: int = 2) -> None:
        super().__init__(attrs={"rows": rows, "spellcheck": "false", "class": "offer-source"})


class KeyedForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's own takes no arguments when it runs
    """Of things that are named by a key, which is made from the name where it is left out, and never changes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["key"]
        else:
            key = self.fields["key"]
            key.required = False
            key.help_text = _(
                "What content and requests call it; it never changes. Empty: made from the name."
            )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "key" in self.fields and not cleaned.get("key") and "key" not in self.errors:
            cleaned["key"] = slugify(cleaned.get("name", ""))[:60]
            if not cleaned["key"] and cleaned.get("name"):
                self.add_error("key", _("No key can be made from this name. Write one in plain letters."))
        return cleaned

    def _post_clean(self) -> None:
        """The model's own checks are made by `offers.authoring`, which saves another instance."""

    def refuse(self, refused: OfferRefused) -> None:
        """Put each problem beside its field."""
        for problem in refused.problems:
            self.add_error(problem.field if problem.field in self.fields else None, problem.message)


class ItemForm(KeyedForm):
    """What an offer item is and who may have it."""

    class Meta:
        model = OfferItem
        fields = (
            "name",
            "key",
            "description",
            "eligibility",
            "valid_from",
            "valid_until",
            "priority",
            "lever",
        )
        widgets = {
            "name": UnfoldAdminTextInputWidget,
            "key": UnfoldAdminTextInputWidget,
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 2}),
            "eligibility": Expression,
            "valid_from": Moment,
            "valid_until": Moment,
            "priority": UnfoldAdminIntegerFieldWidget,
            "lever": UnfoldAdminIntegerFieldWidget,
        }
        labels = {
            "description": gettext_lazy("Notes for colleagues"),
            "eligibility": gettext_lazy("Who may have it"),
            "valid_from": gettext_lazy("From"),
            "valid_until": gettext_lazy("Until"),
            "lever": gettext_lazy("Lever, in percent"),
        }
        help_texts = {
            "valid_from": gettext_lazy("Empty: at once."),
            "valid_until": gettext_lazy("Empty: without an end."),
            "lever": gettext_lazy("Raises or lowers the score of learned ranking; 0 changes nothing."),
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        begin, end = cleaned.get("valid_from"), cleaned.get("valid_until")
        if begin is not None and end is not None and end <= begin:
            self.add_error("valid_until", _("It would end before it begins. Choose a later end."))
        return cleaned


class AttributeForm(forms.Form):
    """One attribute of an offer item. A row without a name is left out."""

    KINDS = (
        ("text", gettext_lazy("Text")),
        ("number", gettext_lazy("Number")),
        ("flag", gettext_lazy("Yes or no")),
        ("list", gettext_lazy("Several texts")),
        ("other", gettext_lazy("JSON")),
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=60,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"list": "attribute-names"}),
    )
    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=KINDS, widget=UnfoldAdminSelectWidget)
    value = forms.CharField(
        label=gettext_lazy("Value"), required=False, max_length=10_000, widget=UnfoldAdminTextInputWidget
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name and not _NAME.fullmatch(name):
            raise forms.ValidationError(
                _(
                    "Use letters, digits and _ only, and begin with a letter: expressions read it as offer.name."
                )
            )
        return name

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("name"):
            try:
                cleaned["read"] = self._read(cleaned.get("kind", ""), cleaned.get("value", ""))
            except ValueError as error:
                self.add_error("value", str(error))
        elif cleaned.get("value") and "name" not in self.errors:
            self.add_error("name", _("This value has no name. Give it one, or empty the row."))
        return cleaned

    def _read(self, kind: str, value: str) -> Any:
        match kind:
            case "number":
                try:
                    number = json.loads(value)
                except ValueError:
                    number = None
                if isinstance(number, bool) or not isinstance(number, int | float) or abs(number) > 1e18:
                    raise ValueError(_("This is no number. Write one such as 21 or 9.50."))
                return number
            case "flag":
                words = {"yes": True, "no": False, "true": True, "false": False}
                if value.strip().lower() not in words:
                    raise ValueError(_("Write yes or no."))
                return words[value.strip().lower()]
            case "list":
                return [each.strip() for each in value.split(",") if each.strip()]
            case "other":
                try:
                    return json.loads(value, parse_constant=_no_constant)
                except (ValueError, RecursionError):
                    raise ValueError(_("This is no JSON. Check its brackets and quotes.")) from None
        return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


class _Attributes(BaseFormSet):  # type: ignore[type-arg]
    def clean(self) -> None:
        seen = set()
        for form in self.kept:
            name = form.cleaned_data["name"]
            if name in seen:
                form.add_error("name", _("There is another attribute with this name. Leave one of them."))
            seen.add(name)

    @property
    def kept(self) -> list[AttributeForm]:
        return [
            form
            for form in self.forms
            if form.cleaned_data.get("name") and not form.cleaned_data.get("DELETE")
        ]

    @property
    def read(self) -> dict[str, Any]:
        return {form.cleaned_data["name"]: form.cleaned_data["read"] for form in self.kept}


AttributeFormSet = forms.formset_factory(
    AttributeForm, formset=_Attributes, extra=1, can_delete=True, max_num=100
)


def attribute_rows(attributes: Any) -> list[dict[str, str]]:
    """Attributes as the rows of the form show them."""
    return [
        {"name": name, "kind": kind, "value": text}
        for name, value in (sorted(attributes.items()) if isinstance(attributes, Mapping) else ())
        for kind, text in [_shown(value)]
    ]


def _shown(value: Any) -> tuple[str, str]:
    match value:
        case bool():
            return "flag", _("yes") if value else _("no")
        case int() | float():
            return "number", json.dumps(value)
        case str():
            return "text", value
        case list() if all(isinstance(each, str) and "," not in each for each in value):
            return "list", ", ".join(value)
    return "other", json.dumps(value, ensure_ascii=False)


class CapForm(forms.ModelForm):  # type: ignore[type-arg]
    """One capping rule, written as a sentence. A row without a number is left out."""

    class Meta:
        model = CappingRule
        fields = ("limit", "scope", "period", "event", "time_zone")
        widgets = {
            "limit": UnfoldAdminIntegerFieldWidget(attrs={"min": 0}),
            "scope": UnfoldAdminSelectWidget,
            "period": UnfoldAdminSelectWidget,
            "event": UnfoldAdminSelectWidget,
        }
        labels = {
            "limit": gettext_lazy("At most"),
            "scope": gettext_lazy("For whom"),
            "period": gettext_lazy("How long"),
            "event": gettext_lazy("Counted when"),
        }

    time_zone = forms.ChoiceField(
        label=gettext_lazy("Days of"),
        required=False,
        choices=lambda: [
            ("", _("the brand (%(zone)s)") % {"zone": settings.AJO_BRAND_TIME_ZONE}),
            *((name, name.replace("_", " ")) for name in sorted(available_timezones())),
        ],
        widget=UnfoldAdminSelectWidget,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["limit"].required = False

    def _post_clean(self) -> None:
        """`offers.authoring` finds the rule that it is and checks it."""

    @property
    def is_kept(self) -> bool:
        return self.cleaned_data.get("limit") is not None and not self.cleaned_data.get("DELETE")


class _Caps(BaseFormSet):  # type: ignore[type-arg]
    @property
    def kept(self) -> list[CapForm]:
        return [form for form in self.forms if form.is_kept]

    @property
    def read(self) -> list[dict[str, Any]]:
        return [{name: form.cleaned_data[name] for name in CapForm.Meta.fields} for form in self.kept]

    def refuse(self, refused: OfferRefused) -> None:
        """A problem names a rule by its place among those that are kept."""
        for problem in refused.problems:
            root, _dot, rest = problem.field.partition(".")
            index, _dot, name = rest.partition(".")
            if root == "capping_rules" and index.isdecimal() and int(index) < len(self.kept):
                self.kept[int(index)].add_error(name or "limit", problem.message)


CapFormSet = forms.formset_factory(
    CapForm, formset=_Caps, extra=1, can_delete=True, max_num=MAX_CAPS, validate_max=True
)


class RepresentationForm(forms.ModelForm):  # type: ignore[type-arg]
    """What an item looks like in one placement, when it is shown there."""

    is_used = forms.BooleanField(
        label=gettext_lazy("Show it here"), required=False, widget=UnfoldBooleanWidget
    )

    image_url = forms.URLField(
        label=gettext_lazy("Picture, its address"),
        required=False,
        max_length=2000,
        assume_scheme="https",
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "url"}),
    )
    link_url = forms.URLField(
        label=gettext_lazy("Link, where a click leads"),
        required=False,
        max_length=2000,
        assume_scheme="https",
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "url"}),
    )

    class Meta:
        model = Representation
        fields = ("title", "body", "image_url", "link_url")
        widgets = {
            "title": UnfoldAdminTextInputWidget,
            "body": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        }

    def __init__(self, placement: Placement, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"prefix": f"rep-{placement.key}", **kwargs})
        self.placement = placement
        self.initial["is_used"] = bool(self.instance.pk)
        body = self.fields["body"]
        body.label, body.help_text = {
            Placement.ContentType.TEXT: (_("Text"), ""),
            Placement.ContentType.HTML: (_("Text, in HTML"), _("Such as <b>20 %</b> until Sunday.")),
            Placement.ContentType.JSON: (_("Values, in JSON"), _("What the app or the page reads.")),
            Placement.ContentType.IMAGE: (_("Words for those who do not see the picture"), ""),
        }[Placement.ContentType(placement.content_type)]

    def _post_clean(self) -> None:
        """`offers.authoring` makes the representations anew."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not cleaned.get("is_used"):
            self._errors = forms.utils.ErrorDict()  # what is not used may be half written
            return cleaned
        if not self.errors and not any(cleaned.get(name) for name in ("title", "body", "image_url")):
            self.add_error("title", _("Nothing would be seen. Write a title or a text, or give a picture."))
        if self.placement.content_type == Placement.ContentType.JSON and cleaned.get("body"):
            try:
                json.loads(cleaned["body"])
            except (ValueError, RecursionError):
                self.add_error("body", _("This is no JSON. Check its brackets and quotes."))
        return cleaned

    @property
    def read(self) -> dict[str, Any]:
        return {
            "placement": self.placement.key,
            **{name: self.cleaned_data[name] for name in self.Meta.fields},
        }


class ItemForms:
    """All forms of the page of an offer item: itself, its attributes, its capping rules, its looks."""

    def __init__(self, offer: OfferItem, data: Any = None) -> None:
        looks = {one.placement_id: one for one in offer.representations.all()} if offer.pk else {}
        rules = list(offer.capping_rules.order_by("pk").values(*CapForm.Meta.fields)) if offer.pk else []
        self.item = ItemForm(data, instance=offer)
        self.attributes: Any = AttributeFormSet(
            data, prefix="attributes", initial=attribute_rows(offer.attributes)
        )
        self.caps: Any = CapFormSet(data, prefix="caps", initial=rules)
        self.looks = [
            RepresentationForm(placement, data, instance=looks.get(placement.pk))
            for placement in Placement.objects.all()
        ]

    def __iter__(self) -> Iterator[Any]:
        return iter([self.item, self.attributes, self.caps, *self.looks])

    def is_valid(self) -> bool:
        answers = [form.is_valid() for form in self]  # of every form: each is to say what is wrong with it
        return all(answers)

    @property
    def has_errors(self) -> bool:
        return self.item.is_bound and not self.is_valid()

    @property
    def read(self) -> dict[str, Any]:
        """As `authoring.save_offer` takes it."""
        return {
            "fields": {**self.item.cleaned_data, "attributes": self.attributes.read},
            "representations": [form.read for form in self.looks if form.cleaned_data.get("is_used")],
            "capping_rules": self.caps.read,
        }

    def refuse(self, refused: OfferRefused) -> None:
        caps = [one for one in refused.problems if one.field.startswith("capping_rules")]
        rest = [one for one in refused.problems if one not in caps]
        self.item.refuse(OfferRefused(str(refused), rest))
        self.caps.refuse(OfferRefused(str(refused), caps))


class PlacementForm(KeyedForm):
    class Meta:
        model = Placement
        fields = ("name", "key", "channel", "content_type")
        widgets = {
            "name": UnfoldAdminTextInputWidget,
            "key": UnfoldAdminTextInputWidget,
            "channel": UnfoldAdminSelectWidget,
            "content_type": UnfoldAdminSelectWidget,
        }
        labels = {"content_type": gettext_lazy("What stands in it")}
        help_texts = {"content_type": gettext_lazy("What the text of a representation is written in.")}


class CollectionForm(KeyedForm):
    """A list of items, or a rule about their attributes."""

    offers = forms.MultipleChoiceField(
        label=gettext_lazy("Items"),
        required=False,
        choices=lambda: list(OfferItem.objects.order_by("name").values_list("key", "name")),
    )

    class Meta:
        model = Collection
        fields = ("name", "key", "kind", "rule")
        widgets = {
            "name": UnfoldAdminTextInputWidget,
            "key": UnfoldAdminTextInputWidget,
            "kind": UnfoldAdminRadioSelectWidget,
            "rule": Expression,
        }
        labels = {"kind": gettext_lazy("What is in it"), "rule": gettext_lazy("The rule")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["offers"] = list(self.instance.offers.values_list("key", flat=True))

    @property
    def read(self) -> dict[str, Any]:
        """As `authoring.save_collection` takes it. What belongs to the other kind is left out."""
        fields = {name: value for name, value in self.cleaned_data.items() if name != "offers"}
        is_list = fields["kind"] == Collection.Kind.STATIC
        if is_list:
            fields["rule"] = ""
        return {"fields": fields, "offers": self.cleaned_data["offers"] if is_list else []}


class StrategyForm(KeyedForm):
    """What is proposed, to whom, and what goes first."""

    lots = forms.IntegerField(
        label=gettext_lazy("Decided by lot, in percent"),
        min_value=0,
        max_value=100,
        required=False,
        help_text=gettext_lazy(
            "So that ranking tries what it does not know, and what it gains can be measured."
        ),
        widget=UnfoldAdminIntegerFieldWidget,
    )

    class Meta:
        model = SelectionStrategy
        fields = (
            "name",
            "key",
            "collection",
            "eligibility",
            "method",
            "formula",
            "value",
            "context_weight",
            "propensity_weight",
            "reward",
        )
        widgets = {
            "name": UnfoldAdminTextInputWidget,
            "key": UnfoldAdminTextInputWidget,
            "collection": UnfoldAdminSelectWidget,
            "eligibility": Expression,
            "method": UnfoldAdminRadioSelectWidget,
            "formula": Expression,
            "value": Expression(rows=1),
            "context_weight": Expression(rows=1),
            "propensity_weight": UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"}),
            "reward": UnfoldAdminSelectWidget,
        }
        labels = {
            "collection": gettext_lazy("From the collection"),
            "eligibility": gettext_lazy("Who it is for"),
            "method": gettext_lazy("What goes first"),
            "formula": gettext_lazy("The formula"),
            "value": gettext_lazy("Value"),
            "context_weight": gettext_lazy("Context weight"),
            "propensity_weight": gettext_lazy("Weight of the propensity"),
            "reward": gettext_lazy("It learns to bring about"),
        }
        help_texts = {
            "value": gettext_lazy("What it is worth when it is taken, such as offer.margin. Empty: 1."),
            "context_weight": gettext_lazy("How well it fits this request. Empty: 1."),
            "propensity_weight": gettext_lazy("1 as it is; 0 leaves it out; above 1 it counts more."),
            "reward": "",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["lots"] = round(100 * self.instance.exploration)
        self.fields["propensity_weight"].required = False

    @property
    def read(self) -> dict[str, Any]:
        """As `authoring.save_strategy` takes it; a number that was left empty is the usual one."""
        fields = dict(self.cleaned_data)
        lots, collection = fields.pop("lots"), fields.pop("collection")
        if lots is not None and lots != self.initial["lots"]:
            fields["exploration"] = lots / 100
        if fields["propensity_weight"] is None:
            fields["propensity_weight"] = 1.0
        return {"fields": fields, "collection": collection.key}


class _Ordered(forms.MultipleChoiceField):
    """Keys in the order in which they stand on the page; empty rows are left out."""

    def to_python(self, value: Any) -> list[str]:
        return [key for key in super().to_python(value) if key]


class PolicyForm(KeyedForm):
    """Which strategies are asked in which order, how many items they fill, and what when nothing is left."""

    strategies = _Ordered(
        label=gettext_lazy("Strategies, in the order in which they are asked"),
        required=False,
        choices=lambda: list(SelectionStrategy.objects.values_list("key", "name")),
    )

    class Meta:
        model = DecisionPolicy
        fields = ("name", "key", "items", "fallback")
        widgets = {
            "name": UnfoldAdminTextInputWidget,
            "key": UnfoldAdminTextInputWidget,
            "items": UnfoldAdminIntegerFieldWidget(attrs={"min": 1, "max": 30}),
            "fallback": UnfoldAdminSelectWidget,
        }
        labels = {
            "items": gettext_lazy("How many items it chooses"),
            "fallback": gettext_lazy("When nothing is left"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        fallback: Any = self.fields["fallback"]
        fallback.queryset = OfferItem.objects.filter(state=OfferItem.State.APPROVED)
        fallback.empty_label = _("Nothing is shown")
        if self.instance.fallback_id:
            fallback.queryset |= OfferItem.objects.filter(pk=self.instance.fallback_id)
        if self.instance.pk:
            places = self.instance.places.order_by("position")
            self.initial["strategies"] = list(places.values_list("strategy__key", flat=True))

    @property
    def rows(self) -> list[str]:
        """The keys that the page shows, and an empty one to add to."""
        return [*(key for key in self["strategies"].value() or () if key), ""]

    @property
    def read(self) -> dict[str, Any]:
        fields = {
            name: value for name, value in self.cleaned_data.items() if name not in {"strategies", "fallback"}
        }
        fallback = self.cleaned_data["fallback"]
        return {
            "fields": fields,
            "strategies": self.cleaned_data["strategies"],
            "fallback": fallback.key if fallback else None,
        }
