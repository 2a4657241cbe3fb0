"""Who did it: sorts the events of a batch to persons, in memory, in the order of their ids. Pure.

The rule, final and thin:

- An event belongs to the profile of its user id, else to that of its anonymous id. An unknown id makes a new profile.
- An event with both tells that the anonymous id is this person's. A new anonymous id is attached to the person. If it
  has an anonymous profile (one without a user id), that profile and the person become one: a person who was unknown
  until now takes the anonymous profile over, otherwise it is merged into the person's. If it belongs to another known
  person (a shared device), nothing is merged or moved.
- alias(previousId, userId) says the same of the previous id. A previous id that is a user id belongs to a known person,
  so nothing happens; an unknown one is kept as an anonymous id of the person.
- Email and phone are identities too if nobody else owns them, and never merge anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from profiles.identity import ANONYMOUS_ID, USER_ID, Key

Node = int
"""A person while a batch is sorted: the id of a profile, or a negative number for one that is still to be made."""


class Persons:
    """The persons whom a batch names. Starts from what the database said, and notes what has to change there."""

    def __init__(self, owners: Mapping[Key, int], known: Iterable[int]) -> None:
        """`owners`: profile id by identity; `known`: those of these profiles that have a user id."""
        self._owners: dict[Key, Node] = dict(owners)
        self._known: set[Node] = set(known)
        self._joined: dict[Node, Node] = {}
        self._made = 0
        self.attached: list[Key] = []
        """Identities to be inserted."""
        self.merges: list[tuple[int, int]] = []
        """(loser, survivor), both profiles that exist; no survivor is a loser too."""
        self.assumed_anonymous: set[int] = set()
        """Profiles that were merged or taken over because they had no user id: to be proved once they are locked."""

    def place(self, user_id: str | None, anonymous_id: str | None, previous_id: str | None = None) -> Node:
        """The person of an event with these ids, of which at least one of the first two is given."""
        if user_id is None:
            assert anonymous_id is not None
            return self._owner((ANONYMOUS_ID, anonymous_id)) or self._make((ANONYMOUS_ID, anonymous_id))
        person = self._owner((USER_ID, user_id)) or self._make((USER_ID, user_id))
        self._known.add(person)
        if anonymous_id is not None:
            person = self._join(person, (ANONYMOUS_ID, anonymous_id))
        if previous_id is not None and (USER_ID, previous_id) not in self._owners:
            person = self._join(person, (ANONYMOUS_ID, previous_id))
        return person

    def claim(self, key: Key, person: Node) -> None:
        """Attach an email or a phone unless somebody owns it."""
        if key not in self._owners:
            self._attach(key, person)

    def now(self, person: Node) -> Node:
        """The node that `person` has become by joining."""
        while person in self._joined:
            person = self._joined[person]
        return person

    def owner(self, key: Key) -> Node:
        """The person of an identity that was met."""
        return self.now(self._owners[key])

    def to_make(self) -> list[Node]:
        """The persons for whom a profile has to be inserted."""
        return [node for node in range(-1, -self._made - 1, -1) if node not in self._joined]

    def _owner(self, key: Key) -> Node | None:
        node = self._owners.get(key)
        return None if node is None else self.now(node)

    def _make(self, key: Key) -> Node:
        self._made += 1
        self._attach(key, -self._made)
        return -self._made

    def _attach(self, key: Key, person: Node) -> None:
        self._owners[key] = person
        self.attached.append(key)

    def _join(self, person: Node, key: Key) -> Node:
        """Person, after `key` was said to be theirs."""
        other = self._owner(key)
        if other is None:
            self._attach(key, person)
            return person
        if other in self._known:  # the person's own, or another person's
            return person
        if other > 0:
            self.assumed_anonymous.add(other)
        if person < 0:
            self._joined[person] = other
            self._known.add(other)
            return other
        self._joined[other] = person
        if other > 0:
            self.merges.append((other, person))
        return person
