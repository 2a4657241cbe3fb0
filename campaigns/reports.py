"""What has become of the messages of runs: from counts that the outbox keeps, so that no message is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ajo.lib import sql
from channels.models import CauseKind, Message, MessageMark

_READ = """
SELECT origin_id AS run_id, mark, reason_code, sum(n)::bigint AS n FROM (
    SELECT origin_id, mark, reason_code, n FROM message_count
    WHERE cause_kind = %(kind)s AND origin_id = ANY(%(run_ids)b::bigint[])
    UNION ALL SELECT origin_id, mark, reason_code, n FROM message_count_delta
    WHERE cause_kind = %(kind)s AND origin_id = ANY(%(run_ids)b::bigint[])
) AS counted GROUP BY origin_id, mark, reason_code HAVING sum(n) <> 0 ORDER BY n DESC, reason_code
"""


@dataclass(slots=True)
class RunCounts:
    """The messages of one run by their marks; those withheld and failed also by the code of the reason, most first."""

    marks: dict[int, int] = field(default_factory=dict)
    withheld: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)

    def _of(self, *marks: MessageMark) -> int:
        return sum(self.marks.get(mark, 0) for mark in marks)

    @property
    def targeted(self) -> int:
        return self._of(MessageMark.TARGETED)

    @property
    def waiting(self) -> int:
        """Queued, or being sent at this moment."""
        return self.targeted - self.done

    @property
    def done(self) -> int:
        """Those about whom nothing more will be decided here."""
        return self.sent + self.not_sent + self.broken + self.uncertain

    @property
    def sent(self) -> int:
        """Accepted by the provider, whatever came after."""
        return self._of(MessageMark.SENT)

    @property
    def delivered(self) -> int:
        return self._of(MessageMark.DELIVERED)

    @property
    def returned(self) -> int:
        """Came back, or the person complained."""
        return self._of(MessageMark.BOUNCED, MessageMark.COMPLAINED)

    @property
    def not_sent(self) -> int:
        return self._of(MessageMark.WITHHELD)

    @property
    def broken(self) -> int:
        """Failed, came too late, or killed its process."""
        return self._of(MessageMark.FAILED, MessageMark.EXPIRED, MessageMark.QUARANTINED)

    @property
    def uncertain(self) -> int:
        return self._of(MessageMark.UNCERTAIN)

    @property
    def opened(self) -> int:
        """By a person; machines are counted apart."""
        return self._of(MessageMark.OPENED)

    @property
    def clicked(self) -> int:
        return self._of(MessageMark.CLICKED)

    @property
    def converted(self) -> int:
        """Did in time what the goal of the campaign says."""
        return self._of(MessageMark.CONVERTED)


def run_counts(run_ids: Iterable[int]) -> Mapping[int, RunCounts]:
    """Run id → its counts, also for a run without messages. One statement, whose cost does not grow with messages."""
    found = {run_id: RunCounts() for run_id in run_ids}
    with sql.cursor() as cur:
        cur.execute(_READ, {"kind": CauseKind.CAMPAIGN_RUN.value, "run_ids": list(found)})
        for row in cur:
            counts = found[row.run_id]
            counts.marks[row.mark] = counts.marks.get(row.mark, 0) + row.n
            if row.mark == MessageMark.WITHHELD:
                counts.withheld[row.reason_code] = row.n
            elif row.mark == MessageMark.FAILED:
                counts.failed[row.reason_code] = row.n
    return found


def in_words(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    """Reasons by code as people read them."""
    labels = dict(Message.Reason.choices)
    return [(str(labels.get(code) or code), n) for code, n in reasons.items()]
