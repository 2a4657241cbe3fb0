"""Harbour & Pine: an invented brand with shops by the sea and two theme parks, for the first run and for tests.

The generators (`catalogue`, `people`, `history`, `welcome`) are pure: no database, no clock, and one seeded source of
chance, so the same seed gives the same people. `writer` puts them into the tables and `seeding` does the whole.
"""

from __future__ import annotations

BRAND = "Harbour & Pine"
SENDER_ADDRESS = "hello@harbour-and-pine.example"
WELCOME_EVENT = "Signed Up"
WELCOME_JOURNEY = "welcome"
