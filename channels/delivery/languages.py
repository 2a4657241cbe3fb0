"""In which language a message is written: decided when it is queued, in the statement that queues it.

A person with the locale de-AT gets the variant for de-AT, else the one for de, else the words for everybody.
"""

from __future__ import annotations

VARIANTS = """spoken AS MATERIALIZED (
    SELECT base.id AS base_id, v.id, lower(replace(v.locale, '_', '-')) AS locale
    FROM channels_variant base JOIN channels_variant v
        ON v.version_id = base.version_id AND v.treatment = base.treatment AND v.locale <> ''
    WHERE base.id {which} AND base.locale = ''
)"""
"""The variants in other languages of those that `which` chooses, for most contents none. A table expression."""
# The profile is looked up for those only whose words exist in several languages.
CHOSEN = """coalesce((
    SELECT s.id FROM spoken s WHERE s.base_id = {variant_id} AND (
        SELECT person.locale = s.locale OR starts_with(person.locale, s.locale || '-')
        FROM (SELECT lower(replace(p.attributes ->> 'locale', '_', '-')) AS locale
            FROM profile p WHERE p.id = {profile_id}) person)
    ORDER BY length(s.locale) DESC LIMIT 1), {variant_id})"""
"""The variant for a profile, given the one for everybody."""
