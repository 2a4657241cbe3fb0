"""Offers, codes and lookups in messages: decided and taken once for each message, never in a trial."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from channels import authoring, services, shown_offers
from channels.checklist import authored as authored_of
from channels.delivery import sender
from channels.liquid import ContentError, Template
from channels.models import (
    CauseKind,
    Message,
    MessageDecision,
    MessageOfferDue,
    Suppression,
    Variant,
)
from channels.providers.base import Outgoing, Receipt, Verdict
from channels.reaching import Needs, Slot
from offers.decide import Ask as OfferAsk
from offers.decide import decide, set_keys
from offers.models import (
    CapCounter,
    CapHold,
    Decision,
    DecisionOutcome,
    ModelStat,
    OfferItem,
    Representation,
    SelectionStrategy,
)
from offers.plans import current_plan
from profiles.lookups.codes import import_codes
from profiles.models import CodePool, Lookup, LookupRow, TakenCode
from tests.channels.conftest import FakeService
from tests.channels.test_delivery import make_event, send, states
from tests.factories import NOW, make_profile
from tests.offers.helpers import make_cap, make_offer, make_policy, make_strategy
from tests.support import count_statements

pytestmark = pytest.mark.django_db

Queue = Callable[..., None]
OFFER = (
    '{% offer "front-page" placement: "hero" as pick %}<a href="{{ pick.link_url }}">{{ pick.title }}</a>'
    " {{ pick.body }} at {{ pick.attributes.price }}{% else %}Nothing today.{% endoffer %}"
)
LEAVE = '<a href="{{ unsubscribe_url }}">Leave</a>'


def write(variant: Variant, html: str, text: str = "{{ unsubscribe_url }}", subject: str = "News") -> None:
    variant.subject, variant.html, variant.text = subject, f"<p>{html}</p>{LEAVE}", text
    variant.save()


def make_item(key: str, **fields: Any) -> OfferItem:
    offer = make_offer(key, attributes={"price": 19.9}, **fields)
    Representation.objects.filter(offer=offer).update(
        body="<b>warm &amp; soft</b>", link_url=f"https://shop.example/{key}"
    )
    return offer


def read(call: Outgoing, kind: str = "html") -> str:
    message = email.message_from_bytes(call.body, policy=email.policy.default)
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_a_message_shows_the_offer_that_was_decided_for_it(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    gold = make_item("gold", priority=2, eligibility='profile.tier == "gold"')
    make_policy(make_strategy(gold, make_item("plain")))
    write(variant, OFFER, text=OFFER)
    ada, bob = make_profile(tier="gold"), make_profile()
    queue(ada, bob)
    send()
    first, second = (read(call) for call in service.calls)
    assert ">Gold</a> <b>warm &amp; soft</b> at 19.9" in first
    assert ">Plain</a>" in second
    text = read(service.calls[0], "plain")
    assert "warm & soft" in text
    assert "<b>" not in text
    assert sorted(Decision.objects.values_list("profile_id", "offers")) == [
        (ada.pk, [gold.pk]),
        (bob.pk, [OfferItem.objects.get(key="plain").pk]),
    ]
    doors = dict(Decision.objects.values_list("cause_id", "door"))
    assert doors == dict.fromkeys(Message.objects.values_list("pk", flat=True), Decision.Door.MESSAGE)
    assert "shop.example" not in first  # the link is counted
    assert states() == {"Sent": 2}


def test_who_gets_nothing_reads_the_other_words(queue: Queue, service: FakeService, variant: Variant) -> None:
    make_policy(make_strategy(make_item("a", eligibility="false")))
    write(variant, OFFER)
    queue(make_profile())
    send()
    assert "Nothing today." in read(service.calls[0])


def test_all_chosen_items_are_written_one_after_the_other(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    make_policy(make_strategy(make_item("a", priority=2), make_item("b")), items=5)
    write(
        variant, '{% offer "front-page" placement: "hero" %}{{ forloop.index }}{{ offer.key }} {% endoffer %}'
    )
    queue(make_profile())
    send()
    assert "1a 2b" in read(service.calls[0])


def test_sent_again_a_message_shows_the_same_and_uses_no_cap_twice(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    offer = make_item("a", priority=9)
    cap = make_cap(offer, 5, event="shown")
    make_policy(make_strategy(offer, make_item("b")))
    write(variant, OFFER)
    queue(make_profile())
    service.answer = lambda each: Receipt(each.message_id, Verdict.DEFERRED, detail="busy")
    send()
    OfferItem.objects.filter(key="b").update(priority=99)  # it would win now
    service.answer = lambda each: Receipt(each.message_id, Verdict.ACCEPTED, "ok")
    send(now=NOW + timedelta(hours=2))
    assert [">A</a>" in read(call) for call in service.calls] == [True, True]
    assert (Decision.objects.count(), CapCounter.objects.get(rule=cap).n) == (1, 1)


@pytest.mark.parametrize("is_suppressed", [False, True])
def test_what_went_out_counts_and_what_was_withheld_gives_its_cap_back(
    queue: Queue, service: FakeService, variant: Variant, is_suppressed: bool
) -> None:
    offer = make_item("a")
    cap = make_cap(offer, 5, event="shown")
    strategy = make_strategy(offer, method=SelectionStrategy.Method.LEARNED, exploration=0.0)
    make_policy(strategy)
    write(variant, OFFER)
    ada = make_profile("ada")
    if is_suppressed:
        Suppression.objects.create(channel=1, address="ada@example.com")
    queue(ada)
    assert shown_offers.settle(NOW) == 0
    send()
    assert shown_offers.settle(NOW) == 1
    assert shown_offers.settle(NOW) == 0
    assert states() == ({"Withheld": 1} if is_suppressed else {"Sent": 1})
    assert CapCounter.objects.get(rule=cap).n == (0 if is_suppressed else 1)
    assert not CapHold.objects.exists()
    assert not MessageOfferDue.objects.exists()
    assert sum(ModelStat.objects.values_list("n", flat=True)) == (0 if is_suppressed else 1)


def test_what_waits_to_be_sent_again_is_not_settled(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    make_policy(make_strategy(make_item("a")))
    write(variant, OFFER)
    queue(make_profile())
    service.answer = lambda each: Receipt(each.message_id, Verdict.DEFERRED, detail="busy")
    send()
    assert shown_offers.settle(NOW) == 0
    assert MessageOfferDue.objects.count() == 1


def test_a_message_shows_what_its_walk_has_chosen(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    make_item("a"), make_item("b", priority=9)
    make_policy(make_strategy(OfferItem.objects.get(key="a")))
    ada, bob = make_profile(), make_profile()
    slot = Slot("front-page", "hero")
    (chosen,) = decide([OfferAsk(ada.pk)], current_plan(*slot, NOW), NOW)
    assert chosen is not None
    set_keys({shown_offers.walk_key(4711, slot): chosen.id})
    strategy = SelectionStrategy.objects.get()
    strategy.collection.offers.add(OfferItem.objects.get(key="b"))
    write(variant, OFFER)
    queue(ada, cause_id=4711)
    queue(ada, cause_id=4712)
    queue(ada, cause_id=4711, cause_kind=CauseKind.CAMPAIGN_RUN)
    queue(bob)
    send()
    shown = [
        "A" if ">A</a>" in read(call) else "B" for call in sorted(service.calls, key=lambda c: c.message_id)
    ]
    assert shown == ["A", "B", "B", "B"]
    assert MessageDecision.objects.filter(decision=chosen.id).count() == 1


def test_eligibility_reads_what_the_call_gave_and_the_event(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    make_policy(
        make_strategy(
            make_item("a", eligibility='context.city == "Bern"'),
            make_item("b", eligibility="context.event.total > 10.5", priority=2),
        )
    )
    write(variant, OFFER)
    queue(make_profile(), context={"city": "Bern"})
    queue(make_profile(), event_id=make_event({"total": 10.51}))
    send()
    assert [">A</a>" in read(call) for call in service.calls] == [True, False]
    assert ">B</a>" in read(service.calls[1])


def test_a_policy_that_is_gone_fails_its_messages_and_no_others(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    write(variant, OFFER)
    queue(make_profile())
    send()
    (message,) = Message.objects.all()
    assert (message.state, "no decision policy" in message.reason) == (Message.State.FAILED, True)
    assert service.calls == []


# --- codes ---------------------------------------------------------------------------------------------------


def make_pool(*codes: str) -> None:
    import_codes(CodePool.objects.create(key="spring", name="Spring"), codes)


def test_each_message_gets_a_code_of_its_own_and_keeps_it(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    make_pool("A1", "B2")
    write(variant, 'Use {% code "spring" %}!', subject='{% code "spring" %} for you')
    queue(make_profile(), make_profile())
    service.answer = lambda each: Receipt(each.message_id, Verdict.DEFERRED, detail="busy")
    send()
    service.answer = lambda each: Receipt(each.message_id, Verdict.ACCEPTED, "ok")
    send(now=NOW + timedelta(hours=2))
    assert ["A1" if "Use A1!" in read(call) else "B2" for call in service.calls] == ["A1", "B2"] * 2
    assert b"Subject: A1 for you" in service.calls[0].body
    assert TakenCode.objects.count() == 2


def test_without_a_code_left_nothing_is_sent(queue: Queue, service: FakeService, variant: Variant) -> None:
    make_pool("A1")
    write(variant, 'Use {% code "spring" %}!')
    queue(make_profile(), make_profile(), make_profile())
    send()
    assert len(service.calls) == 1
    assert states() == {"Sent": 1, "Failed": 2}
    assert set(Message.objects.filter(state=Message.State.FAILED).values_list("reason", flat=True)) == {
        "No code is left in the pool spring. Add codes and send a new message."
    }


# --- lookups -------------------------------------------------------------------------------------------------


def make_products(**rows: dict[str, Any]) -> None:
    lookup = Lookup.objects.create(
        key="products",
        name="Products",
        columns=[{"name": "name", "type": "text"}, {"name": "price", "type": "number"}],
    )
    LookupRow.objects.bulk_create(LookupRow(lookup=lookup, key=key, values=row) for key, row in rows.items())


def test_rows_of_lookups_are_read_for_the_whole_batch_at_once(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    make_products(
        **{f"sku{number}": {"name": f"Thing <{number}>", "next": f"sku{number + 1}"} for number in range(25)}
    )
    write(
        variant,
        "{{ lookups.products[profile.sku].name }} then {{ lookups.products[lookups.products[profile.sku].next].name }}"
        " and {{ lookups.products.sku9.name }}, {{ lookups.nothing.x.y | default: 'none' }}",
    )
    counts = []
    for size in (1, 20):
        queue(*(make_profile(sku=f"sku{number}") for number in range(size)), visit=size)
        with count_statements() as seen:
            send()
        counts.append(sum("lookup_row" in statement for statement in seen))
    assert counts == [2, 2]
    assert "Thing &lt;7&gt; then Thing &lt;8&gt; and Thing &lt;9&gt;, none" in read(service.calls[8])


def test_offers_and_codes_cost_a_constant_number_of_statements(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    make_pool(*(f"C{number}" for number in range(100)))
    make_products(a={"name": "Lamp"})
    make_policy(make_strategy(make_item("a")))
    write(variant, OFFER + '{% code "spring" %}{{ lookups.products.a.name }}')
    counts = []
    for size in (1, 2, 30):
        queue(*(make_profile() for _ in range(size)), visit=size)
        with count_statements() as seen:
            send()
        counts.append(len(seen))
    assert (
        counts[0] > counts[1] == counts[2]
    )  # the plan, the words and the links are read the first time only
    assert len(service.calls) == 33


# --- trials --------------------------------------------------------------------------------------------------


def traces() -> list[bool]:
    return [
        model.objects.exists()
        for model in (Decision, MessageDecision, MessageOfferDue, TakenCode, CapCounter, DecisionOutcome)
    ]


def test_a_preview_and_a_proof_take_no_code_and_use_no_cap(
    service: FakeService, variant: Variant, configuration: Any
) -> None:
    make_pool("A1")
    make_products(a={"name": "Lamp", "price": 19.9})
    gold = make_item("gold", priority=2, eligibility='profile.tier == "gold"')
    make_cap(gold, 1)
    make_policy(make_strategy(gold, make_item("plain")))
    body = OFFER + ' {% code "spring" %} {{ lookups.products.a.price }}'
    ada = make_profile(tier="gold")
    content = variant.version.content
    words = authored_of(
        subject="News", preheader="", mjml_source="", html_source=f"<p>{body}</p>{LEAVE}", text=""
    )
    for profile_id, title in ((ada.pk, "Gold"), (None, "Plain")):
        values = authoring.values_for(content=content, profile_id=profile_id)
        seen = authoring.preview(words, values, profile_id)
        assert seen.shown is not None, seen.findings
        assert f">{title}</a>" in seen.shown.html
        assert "SAMPLE-CODE 19.9" in seen.shown.html
        assert 'href="https://shop.example/' in seen.shown.html
    authoring.send_proof(
        content=content,
        authored=words,
        address="boss@example.com",
        configuration=configuration,
        values=authoring.values_for(content=content, profile_id=ada.pk),
        now=NOW,
        profile_id=ada.pk,
    )
    assert ">Gold</a>" in read(service.calls[0])
    assert traces() == [False] * 6


def test_a_message_looked_at_shows_what_it_has_and_leaves_no_trace(
    queue: Queue, service: FakeService, variant: Variant
) -> None:
    make_pool("A1")
    make_policy(make_strategy(make_item("a")))
    write(variant, OFFER + '{% code "spring" %}')
    queue(make_profile())
    message = Message.objects.get()
    assert b"SAMPLE-CODE" in sender.source(message.pk, NOW)
    assert traces() == [False] * 6
    send()
    assert b"A1" in sender.source(message.pk, NOW)
    assert Decision.objects.count() == TakenCode.objects.count() == 1


def test_what_does_not_exist_stops_publishing(variant: Variant) -> None:
    write(variant, OFFER + '{% code "spring" %}')
    assert services.content_problems(variant.version) == [
        "There is no decision policy 'front-page'. Make it under Offers, or check the key.",
        "There is no placement 'hero'. Make it under Offers, or check the key.",
        "There is no pool of codes 'spring'. Make it under People, or check the key.",
    ]
    make_policy(make_strategy(make_item("a")))
    make_pool("A1")
    assert services.content_problems(variant.version) == []


# --- the tags ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% offer %}{% endoffer %}", "an offer is written like"),
        ('{% offer "a" %}{% endoffer %}', "an offer is written like"),
        ('{% offer policy placement: "b" %}{% endoffer %}', "an offer is written like"),
        ('{% offer "a" placement: "b" as profile %}{% endoffer %}', "profile is the name of something else"),
        ('x\n{% offer "a" placement: "b" %}', "end"),
        ("{% code spring %}", "a code is written like"),
    ],
)
def test_a_tag_that_is_written_wrong_is_named(source: str, said: str) -> None:
    with pytest.raises(ContentError, match=said):
        Template(source, is_html=True)


def test_what_words_need_is_found_in_every_branch() -> None:
    template = Template(
        '{% if a %}{% offer "p" placement: "x" %}{% code "c" %}{% else %}{% offer \'q\', placement: "y" as z %}'
        "{{ z.title }}{% endoffer %}{% endoffer %}{% endif %}{{ lookups.t[profile.k].v }}",
        is_html=False,
    )
    assert template.needs == Needs((Slot("p", "x"), Slot("q", "y")), ("c",), True)
    assert template.names() == {"a", "lookups", "profile"}
    assert not Template("{{ profile.lookups }}", is_html=False).needs


def test_a_code_that_is_missing_is_never_left_out_silently() -> None:
    with pytest.raises(ContentError, match="there is no code of the pool c"):
        Template('{% code "c" %}', is_html=False).render({})
