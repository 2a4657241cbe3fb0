"""The way of a batch: reserve → gather → render → fence → call → record, in micro-batches.

Everything is gathered in a constant number of statements. A micro-batch costs two more: the fence, right before the
call, and the record of what the provider said.
"""

from __future__ import annotations

import json
import logging
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from itertools import groupby
from typing import Any

from django.conf import settings

from ajo.lib import sql
from ajo.lib.chaos import point
from ajo.lib.registry import UnknownKind
from channels import addresses, devices, rendering
from channels.delivery import outbox, values
from channels.delivery.outbox import Candidate, Loaded, Result, State
from channels.delivery.quiet import keep_quiet
from channels.delivery.values import Values, decoded
from channels.devices import Fate, Reached
from channels.liquid import ContentError
from channels.models import ChannelConfiguration, MessageClass, Variant
from channels.providers import registry
from channels.providers.base import Outgoing, Provider, ProviderError, Receipt, Verdict
from channels.reaching import Needs
from channels.rendering import Compiled, Envelope, Sender, Words, compile_words, make_message_id
from channels.tracking import links, tokens
from profiles.models import Channel

logger = logging.getLogger(__name__)

MICRO_BATCH = 32
MAX_ATTEMPTS = 8
BATCH_SECONDS = 10.0
"""A batch begins no new micro-batch after this time, so that its task stays within Celery's limit."""
_RETRY_BASE = 30.0
_RETRY_CAP = 3600.0
_OUTAGE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class _Route:
    """A configuration, ready to send."""

    configuration: ChannelConfiguration
    provider: Provider
    sender: Sender


@dataclass(frozen=True, slots=True)
class _Batch:
    """What was gathered for the queued messages of a reservation."""

    channel: int
    now: datetime
    messages: Sequence[Loaded]
    configurations: Mapping[int, ChannelConfiguration]
    compiled: Mapping[int, Compiled]
    broken: Mapping[int, str]
    """Why the words of a variant cannot be compiled."""
    values: Values
    devices: Mapping[int, Sequence[Reached]]
    """Of each message, for channels that go to devices."""
    ends_at: float


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a message goes. `normal_address` is as suppressions are kept."""

    address: str
    normal_address: str = ""
    device_id: int = 0


def take_batch(lane: int, *, now: datetime | None = None, limit: int = 500) -> int:
    """Send what is due in a lane; returns how many due rows were taken, 0 when there were none.

    Not to be called inside a transaction: calls to providers would hold it open.
    """
    began_at = time.monotonic()
    reserved = outbox.reserve(lane, now=now, limit=limit)
    if not reserved:
        return 0
    point("after_reserve")
    now = reserved[0].now
    queued = keep_quiet(lane, _sort_out(reserved, now), now)
    if queued:
        seconds = min(BATCH_SECONDS, settings.AJO_SEND_RESERVATION_SECONDS * 0.8)
        _send(_gather(lane, queued, now, began_at + seconds))
    return len(reserved)


def _sort_out(reserved: Sequence[outbox.Reserved], now: datetime) -> list[Loaded]:
    """Settle what needs no sending: lost, final, poisonous and held messages. Returns the rest."""
    reservations = {row.message_id: row.reservations for row in reserved}
    loaded = outbox.load(list(reservations))
    sending = [message for message in loaded if message.state == State.SENDING]
    if lost := [message for message in sending if message.is_lease_over]:
        count = outbox.recover(
            [message.id for message in lost],
            now,
            repeatable_ids=[message.id for message in lost if _is_repeatable(message, now)],
        )
        logger.warning("The lease of %s messages ran out while they were being sent.", count)
    if busy := [message.id for message in sending if not message.is_lease_over]:
        outbox.await_leases(busy)
    open_states = {State.QUEUED.value, State.SENDING.value}
    is_open = {message.id for message in loaded if message.state in open_states}
    if final := reservations.keys() - is_open:
        outbox.forget(sorted(final))
    queued = [message for message in loaded if message.state == State.QUEUED]
    if poison := [m.id for m in queued if reservations[m.id] > outbox.QUARANTINED_AFTER]:
        outbox.quarantine(poison)
        logger.error("Messages that seem to kill their process were quarantined: %s", poison)
    if held := [m.id for m in queued if m.is_held and m.id not in poison]:
        outbox.postpone(held, now, at_least=outbox.HOLD_SECONDS, spread=outbox.HOLD_SECONDS)
    return [m for m in queued if not m.is_held and m.id not in poison]


def _is_repeatable(message: Loaded, now: datetime) -> bool:
    """Whether the provider surely still knows the key of the attempt that was lost. The message is older than that."""
    configuration = ChannelConfiguration.objects.filter(pk=message.configuration_id).first()
    if configuration is None or configuration.provider not in registry:
        return False
    provider = registry.get(configuration.provider)(configuration.settings)
    return (now - message.created_at).total_seconds() < provider.idempotency_window


def _gather(
    channel: int, messages: Sequence[Loaded], now: datetime, ends_at: float, *, is_trial: bool = False
) -> _Batch:
    configurations = ChannelConfiguration.objects.in_bulk({message.configuration_id for message in messages})
    compiled: dict[int, Compiled] = {}
    needs: dict[int, Needs] = {}
    broken: dict[int, str] = {}
    for pk, variant in Variant.objects.in_bulk({message.variant_id for message in messages}).items():
        try:
            words = Words.of(variant)
            compiled[pk] = compile_words(channel, words, tokens.public_url())
            needs[pk] = rendering.needs(channel, words)
        except ContentError as error:
            broken[pk] = str(error)
    links.keep((pk, each.links) for pk, each in compiled.items())
    return _Batch(
        channel=channel,
        now=now,
        messages=messages,
        configurations=configurations,
        compiled=compiled,
        broken=broken,
        values=values.gather(messages, compiled, needs, now, is_trial=is_trial),
        devices=_devices(messages, configurations) if channel == Channel.PUSH else {},
        ends_at=ends_at,
    )


def _devices(
    messages: Sequence[Loaded], configurations: Mapping[int, ChannelConfiguration]
) -> dict[int, list[Reached]]:
    return devices.reach(
        [
            (message.id, message.profile_id, configuration.provider)
            for message in messages
            if (configuration := configurations.get(message.configuration_id))
        ]
    )


def _send(batch: _Batch) -> None:
    for configuration_id, group in groupby(
        sorted(batch.messages, key=lambda message: (message.configuration_id, message.id)),
        key=lambda message: message.configuration_id,
    ):
        messages = list(group)
        try:
            route = _route(batch.configurations.get(configuration_id))
        except ProviderError as error:
            _put_off(messages, error, batch.now)
            continue
        for start in range(0, len(messages), MICRO_BATCH):
            if time.monotonic() >= batch.ends_at:
                outbox.postpone([message.id for message in messages[start:]], batch.now, at_least=0.0)
                break
            try:
                _send_some(messages[start : start + MICRO_BATCH], route, batch)
            except ProviderError as error:
                _put_off(messages[start + MICRO_BATCH :], error, batch.now)
                break


def _put_off(messages: Sequence[Loaded], error: ProviderError, now: datetime) -> None:
    """The service cannot be reached: what is not fenced yet waits, without an attempt being counted."""
    if messages:
        outbox.postpone(
            [message.id for message in messages], now, at_least=_pause(error), spread=_OUTAGE_SECONDS
        )
    logger.log(
        logging.ERROR if error.permanent else logging.WARNING, "Messages wait for their provider: %s", error
    )


def _send_some(messages: Sequence[Loaded], route: _Route, batch: _Batch) -> None:
    """One micro-batch. Raises ProviderError when the service took nothing; these messages are queued again by then."""
    outgoing: dict[int, list[Outgoing]] = {}
    candidates = list(_render(messages, route, batch, outgoing))
    token, may_send = outbox.fence(candidates, batch.now)
    lease_ends_at = time.monotonic() + settings.AJO_SEND_LEASE_SECONDS
    point("after_fence")
    to_send = [each for message_id in sorted(may_send) for each in outgoing[message_id]]
    # A process that was stopped in between wakes up when others have already called its messages uncertain.
    if not to_send or time.monotonic() >= lease_ends_at:
        return
    attempts = {message.id: message.attempt + 1 for message in messages}
    try:
        receipts = {
            (receipt.message_id, receipt.device_id): receipt for receipt in route.provider.send(to_send)
        }
    except ProviderError as error:
        pause = _pause(error)
        results = [
            Result(
                message_id,
                State.QUEUED.value,
                reason=str(error),
                delay=pause + random.uniform(0, _OUTAGE_SECONDS),
                counts=False,
            )
            for message_id in sorted(may_send)
        ]
        outbox.record(results, token, batch.now)
        raise
    except Exception as error:
        # Whatever it was, some of these may have been accepted.
        logger.exception("The provider %s failed in a way that it should not.", route.configuration)
        lost = Receipt(0, Verdict.UNKNOWN, detail=f"{type(error).__name__}: {error}")
        receipts = {(each.message_id, each.device_id): lost for each in to_send}
    point("after_send")
    said = [(each, receipts.get((each.message_id, each.device_id), _SILENT)) for each in to_send]
    results = [
        _result(message_id, _best([receipt for _, receipt in group]), attempts[message_id])
        for message_id, group in groupby(said, key=lambda pair: pair[0].message_id)
    ]
    if batch.channel == Channel.PUSH:
        fates = [_fate(each, receipt) for each, receipt in said]
        with sql.unit_of_work():
            devices.record(fates, batch.now)
            outbox.record(results, token, batch.now)
    elif stopped := dict(_stopped(said, batch.channel)):
        with sql.unit_of_work():
            outbox.record(results, token, batch.now)
            outbox.suppress(stopped)
    else:
        outbox.record(results, token, batch.now)


def _render(
    messages: Sequence[Loaded], route: _Route, batch: _Batch, outgoing: dict[int, list[Outgoing]]
) -> Iterator[Candidate]:
    """Render each message into `outgoing`; one that cannot be rendered becomes a candidate with a problem."""
    date = format_datetime(batch.now)
    for message in messages:
        point("before_render")
        profile = decoded(message.attributes)
        targets = _targets(message, profile, batch)
        if not targets:
            yield Candidate(message.id, message.profile_id)
            continue
        # Only devices are several, and they have no address to be withheld by.
        address = "" if targets[0].device_id else targets[0].address
        normal_address = targets[0].normal_address
        problem = ""
        try:
            key = make_message_id(message.id, message.created_at, route.sender.address)
            body = _body(message, profile, address, key, date, route.sender, batch)
        except ContentError as error:
            problem = str(error)
        except Exception as error:
            # A fault of the renderer must not take the neighbours along.
            logger.exception("Message %s cannot be rendered.", message.id)
            problem = f"{type(error).__name__} while rendering it."
        else:
            outgoing[message.id] = [
                Outgoing(
                    message.id,
                    target.address,
                    route.sender.address,
                    body,
                    f"{key}/{target.device_id}" if target.device_id else key,
                    target.device_id,
                )
                for target in targets
            ]
        yield Candidate(message.id, message.profile_id, address, normal_address, problem=problem)


def _targets(message: Loaded, profile: Mapping[str, Any], batch: _Batch) -> Sequence[_Target]:
    """Where the message goes; nothing when its profile cannot be reached."""
    if batch.channel == Channel.PUSH:
        return [
            _Target(device.address, device_id=device.device_id)
            for device in batch.devices.get(message.id, ())
        ]
    if batch.channel == Channel.WEBHOOK:
        return [_Target("")]
    address = addresses.address_of(batch.channel, profile)
    normal_address = addresses.normalise(batch.channel, address)
    return [] if normal_address is None else [_Target(address, normal_address)]


def _body(
    message: Loaded,
    profile: Mapping[str, Any],
    address: str,
    key: str,
    date: str,
    sender: Sender,
    batch: _Batch,
) -> bytes:
    """What the provider is given for a message. Raises ContentError."""
    compiled = batch.compiled.get(message.variant_id)
    if compiled is None:
        raise ContentError(
            batch.broken.get(
                message.variant_id,
                "The words of this message were deleted. Publish the content again and send a new one.",
            )
        )
    public = tokens.addresses(message.id)
    envelope = Envelope(
        sender=sender,
        address=address,
        message_id=key,
        date=date,
        token=public.token,
        list_unsubscribe=(public.unsubscribe_url if message.message_class == MessageClass.MARKETING else ""),
    )
    return compiled.render(batch.values.of(message, profile, sender, public), envelope)


def _stopped(said: Sequence[tuple[Outgoing, Receipt]], channel: int) -> Iterator[tuple[tuple[int, str], str]]:
    """The addresses that the service refuses for good, with the reason."""
    for outgoing, receipt in said:
        normal = addresses.normalise(channel, outgoing.address)
        if receipt.suppression and normal is not None:
            yield (channel, normal), receipt.suppression


_SILENT = Receipt(0, Verdict.UNKNOWN, detail="The provider said nothing about this message.")
_GOODNESS = [Verdict.ACCEPTED, Verdict.UNKNOWN, Verdict.DEFERRED, Verdict.REFUSED]
_STATES = {
    Verdict.ACCEPTED: State.SENT,
    Verdict.UNKNOWN: State.UNCERTAIN,
    Verdict.DEFERRED: State.QUEUED,
    Verdict.REFUSED: State.FAILED,
}


def _best(receipts: Sequence[Receipt]) -> Receipt:
    """What a message has become that went to several devices: sent when one took it, uncertain when one may have."""
    return min(receipts, key=lambda receipt: _GOODNESS.index(receipt.verdict))


def _fate(outgoing: Outgoing, receipt: Receipt) -> Fate:
    return Fate(
        outgoing.message_id,
        outgoing.device_id,
        _STATES[receipt.verdict].value,
        receipt.provider_id,
        receipt.detail,
        receipt.is_device_gone,
    )


def _result(message_id: int, receipt: Receipt, attempt: int) -> Result:
    match receipt.verdict:
        case Verdict.ACCEPTED:
            return Result(message_id, State.SENT.value, provider_id=receipt.provider_id)
        case Verdict.REFUSED:
            return Result(message_id, State.FAILED.value, reason=receipt.detail)
        case Verdict.UNKNOWN:
            return Result(message_id, State.UNCERTAIN.value, reason=receipt.detail)
        case Verdict.DEFERRED if attempt >= MAX_ATTEMPTS:
            return Result(
                message_id, State.FAILED.value, reason=f"Put off {attempt} times, at last: {receipt.detail}"
            )
        case Verdict.DEFERRED:
            delay = max(_back_off(attempt), receipt.retry_after or 0.0)
            return Result(message_id, State.QUEUED.value, reason=receipt.detail, delay=delay)


def _back_off(attempt: int) -> float:
    """Seconds until the next attempt, anywhere up to a bound that doubles: a crowd must not come back at once."""
    return random.uniform(0, min(_RETRY_CAP, _RETRY_BASE * 2 ** (attempt - 1)))


def _pause(error: ProviderError) -> float:
    return max(_OUTAGE_SECONDS * (4 if error.permanent else 1), error.retry_after or 0.0)


# --- looked at -----------------------------------------------------------------------------------------------


def source(message_id: int, at: datetime) -> bytes:
    """A message rendered anew as it would be sent at `at`, with what is known of the person now. Sends nothing.

    Raises ContentError, with a sentence, when it cannot be rendered.
    """
    (message,) = outbox.load([message_id])
    batch = _gather(message.channel, [message], at, ends_at=0.0, is_trial=True)
    configuration = batch.configurations.get(message.configuration_id)
    if configuration is None:
        raise ContentError(
            "The channel configuration of this message was deleted, so its sender is not known."
        )
    sender = Sender(configuration.sender_name, configuration.sender_address, configuration.reply_to)
    profile = decoded(message.attributes)
    address = addresses.address_of(message.channel, profile)
    if message.channel not in {Channel.PUSH, Channel.WEBHOOK} and (
        addresses.normalise(message.channel, address) is None
    ):
        raise ContentError(outbox.REASON_NO_ADDRESS)
    key = make_message_id(message.id, message.created_at, sender.address)
    return _body(message, profile, address, key, format_datetime(at), sender, batch)


# --- providers -----------------------------------------------------------------------------------------------

_providers: dict[tuple[int, int], tuple[str, Provider]] = {}
"""(process, configuration) → what it was made from, and the provider with its open connections."""


def _route(configuration: ChannelConfiguration | None) -> _Route:
    if configuration is None:
        raise ProviderError(
            "Their channel configuration was deleted. Withhold them or restore it.", permanent=True
        )
    if not configuration.is_active:
        raise ProviderError(f"The channel configuration {configuration} is switched off.", permanent=True)
    key = (os.getpid(), configuration.pk)
    origin = json.dumps([configuration.provider, configuration.settings], sort_keys=True)
    made_from, provider = _providers.get(key, ("", None))
    if provider is None or made_from != origin:
        if provider is not None:
            provider.close()
        try:
            provider = registry.get(configuration.provider)(configuration.settings)
        except UnknownKind as error:
            raise ProviderError(str(error), permanent=True) from error
        provider.key = configuration.key
        _providers[key] = origin, provider
    sender = Sender(configuration.sender_name, configuration.sender_address, configuration.reply_to)
    return _Route(configuration, provider, sender)


def close_providers() -> None:
    """Hang up all connections of this process."""
    for key in [key for key in _providers if key[0] == os.getpid()]:
        _providers.pop(key)[1].close()
