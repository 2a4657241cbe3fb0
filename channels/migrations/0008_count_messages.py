from django.db import migrations

# A fact is what is the same of many rows; each becomes the marks that are true of it (channels.models.MessageMark).
_FACT = """
    cause_kind, origin_id, activity, channel, variant_id, state, reason_code,
    (created_at AT TIME ZONE 'UTC')::date AS created_on, (sent_at AT TIME ZONE 'UTC')::date AS sent_on,
    (opened_at AT TIME ZONE 'UTC')::date AS opened_on, (clicked_at AT TIME ZONE 'UTC')::date AS clicked_on,
    (opened_by_machine_at AT TIME ZONE 'UTC')::date AS opened_by_machine_on,
    (clicked_by_machine_at AT TIME ZONE 'UTC')::date AS clicked_by_machine_on,
    (unsubscribed_at AT TIME ZONE 'UTC')::date AS unsubscribed_on,
    (converted_at AT TIME ZONE 'UTC')::date AS converted_on
"""
_MARKS = """
    CROSS JOIN (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date AS today) AS clock
    CROSS JOIN LATERAL (VALUES
        (2, state IN (2, 3, 4, 5), sent_on, ''), (3, state IN (3, 5), today, ''), (4, state = 4, today, ''),
        (5, state = 5, today, ''), (6, state = 6, today, reason_code), (7, state = 7, today, reason_code),
        (8, state = 8, today, ''), (9, state = 9, today, ''), (10, state = 10, today, ''),
        (11, opened_on IS NOT NULL, opened_on, ''),
        (12, opened_by_machine_on IS NOT NULL, opened_by_machine_on, ''),
        (13, clicked_on IS NOT NULL, clicked_on, ''),
        (14, clicked_by_machine_on IS NOT NULL, clicked_by_machine_on, ''),
        (15, unsubscribed_on IS NOT NULL, unsubscribed_on, ''), (16, converted_on IS NOT NULL, converted_on, ''),
        (0, is_new, created_on, '')
    ) AS mark(mark, is_true, day, code)
"""
_APPEND = f"""
    INSERT INTO message_count_delta (cause_kind, origin_id, activity, channel, variant_id, mark, reason_code, day, n)
    SELECT cause_kind, origin_id, activity, channel, variant_id, mark, code, coalesce(day, today), sum(n)
    FROM fact {_MARKS} WHERE is_true GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 HAVING sum(n) <> 0;
"""
# What only waits has no mark that an update could change, and the fence touches each message once: leave it out early.
_HAS_MARKS = (
    "state > 1 OR opened_by_machine_at IS NOT NULL OR clicked_by_machine_at IS NOT NULL OR opened_at IS NOT NULL"
    " OR clicked_at IS NOT NULL OR unsubscribed_at IS NOT NULL OR converted_at IS NOT NULL"
)
_GROUP = "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15"

SQL = f"""
UPDATE message SET reason_code = CASE
    WHEN reason = 'The profile opted out of this channel.' THEN 'opted_out'
    WHEN reason = 'The address is suppressed.' THEN 'suppressed'
    WHEN reason = 'The profile has no usable address on this channel.' THEN 'no_address'
    WHEN reason = 'The profile was merged into another one.' THEN 'merged'
    WHEN reason LIKE 'The person%' THEN 'repeated'
    ELSE 'stopped' END
WHERE state = 6;

CREATE FUNCTION count_new_messages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH fact AS MATERIALIZED (SELECT {_FACT}, true AS is_new, count(*) AS n FROM arrived {_GROUP}) {_APPEND}
    RETURN NULL;
END $$;

CREATE FUNCTION count_changed_messages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    WITH fact AS MATERIALIZED (
        SELECT {_FACT}, false AS is_new, sum(sign) AS n FROM (
            SELECT -1 AS sign, * FROM before WHERE {_HAS_MARKS} UNION ALL SELECT 1, * FROM after WHERE {_HAS_MARKS}
        ) AS changed
        {_GROUP} HAVING sum(sign) <> 0
    ) {_APPEND}
    RETURN NULL;
END $$;

CREATE TRIGGER message_counts_insert AFTER INSERT ON message REFERENCING NEW TABLE AS arrived
    FOR EACH STATEMENT EXECUTE FUNCTION count_new_messages();
CREATE TRIGGER message_counts_update AFTER UPDATE ON message REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_messages();

-- The triggers have locked out every writer until the commit: what there is already is counted once.
WITH fact AS MATERIALIZED (SELECT {_FACT}, true AS is_new, count(*) AS n FROM message {_GROUP}) {_APPEND}
"""
UNDO = """
DROP TRIGGER message_counts_insert ON message;
DROP TRIGGER message_counts_update ON message;
DROP FUNCTION count_new_messages();
DROP FUNCTION count_changed_messages();
"""


class Migration(migrations.Migration):
    dependencies = [("channels", "0007_message_counts")]
    operations = [migrations.RunSQL(SQL, UNDO)]
