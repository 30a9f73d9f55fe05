-- Step 5 of 7, store: the counting statement. `stage`, a temporary table that COPY has just filled, holds the casts of
-- one batch: (poll, ballot, option, position, at).
--
-- name: count
-- Places the batch's ballots, records what does not count, moves the tallies, writes which ranges of the log are now
-- covered, and notifies: all in one statement, so that all of it is there or nothing. Safe to run twice, twice at
-- once, and in any order: which of a ballot's casts counts is decided by comparing their ranks, and the option that
-- a ballot moves from is read from the row itself at the moment it is locked (`prev`), never from a snapshot.
-- {lock} is SHARE, or UPDATE where somebody waits to close one of the polls: sharers would starve the closer.
WITH poll AS MATERIALIZED (
    SELECT number, id, one_vote_per IS NOT NULL AND allow_change AS last_wins, closes_at, ends, final,
           CASE WHEN one_vote_per IS NULL THEN 'idempotency_key_reused' ELSE 'already_voted' END AS taken,
           deleted_at IS NOT NULL AS deleted,
           NOT closed AND (closes_at IS NULL OR clock_timestamp() <= closes_at) AS open
    FROM polls WHERE number = ANY(%(polls)s) ORDER BY number FOR {lock}),
judged AS MATERIALIZED (
    SELECT s.*, CASE WHEN p.last_wins THEN s.position ELSE -s.position END AS rank, p.last_wins, p.taken,
        CASE WHEN p.deleted THEN 'poll_deleted'
             WHEN s.at > p.closes_at THEN 'poll_closed'
             WHEN p.ends IS NOT NULL AND NOT EXISTS (
                 SELECT FROM unnest(p.ends) AS e WHERE e >> 42 = s.position >> 42 AND s.position < e) THEN 'poll_closed'
        END AS reason
    FROM stage s JOIN poll p ON p.number = s.poll),
ordered AS MATERIALIZED (
    SELECT poll, ballot, option, rank, at, last_wins, taken,
           row_number() OVER casts AS place, first_value(option) OVER casts AS winning
    FROM judged WHERE reason IS NULL
    WINDOW casts AS (PARTITION BY poll, ballot ORDER BY rank DESC)),
placed AS (
    INSERT INTO ballots AS b (poll, rank, cast_at, ballot, option)
    SELECT poll, rank, at, ballot, option FROM ordered WHERE place = 1 ORDER BY poll, ballot
    ON CONFLICT (poll, ballot) DO UPDATE
    SET prev = b.option, option = excluded.option, rank = excluded.rank, cast_at = excluded.cast_at
    WHERE b.rank < excluded.rank
    RETURNING poll, ballot, option, prev),
rejected AS (
    INSERT INTO rejections (poll, ballot, option, reason)
    SELECT poll, ballot, option, reason FROM judged WHERE reason IS NOT NULL
    UNION
    SELECT poll, ballot, option, taken FROM ordered WHERE NOT last_wins AND option <> winning
    UNION
    SELECT o.poll, o.ballot, o.option, o.taken
    FROM ordered o LEFT JOIN placed p ON p.poll = o.poll AND p.ballot = o.ballot
    WHERE NOT o.last_wins AND o.place = 1 AND p.poll IS NULL
      AND NOT EXISTS (SELECT FROM ballots b WHERE b.poll = o.poll AND b.ballot = o.ballot AND b.option = o.option)
    UNION
    SELECT p.poll, p.ballot, p.prev, q.taken
    FROM placed p JOIN poll q ON q.number = p.poll
    WHERE p.prev IS NOT NULL AND NOT q.last_wins
    ON CONFLICT DO NOTHING RETURNING 1),
moved AS (
    SELECT poll, option, sum(n) AS n FROM (
        SELECT poll, option, count(*) AS n FROM placed GROUP BY 1, 2
        UNION ALL
        SELECT poll, prev, -count(*) FROM placed WHERE prev IS NOT NULL GROUP BY 1, 2) AS m
    GROUP BY 1, 2 HAVING sum(n) <> 0),
seen AS MATERIALIZED (
    SELECT i.poll, i.newest, v.options, v.ns, v.n
    FROM (SELECT poll, max(at) AS newest FROM ordered GROUP BY poll) AS i
    LEFT JOIN (
        SELECT poll, array_agg(option::int) AS options, array_agg(n::bigint) AS ns, sum(n)::bigint AS n
        FROM moved GROUP BY poll) AS v USING (poll)
    ORDER BY i.poll),
tally AS (
    UPDATE tallies t SET
        newest = greatest(t.newest, s.newest),
        revision = t.revision + (s.options IS NOT NULL)::int,
        total = t.total + coalesce(s.n, 0),
        counts = CASE WHEN s.options IS NULL THEN t.counts ELSE ARRAY(
            SELECT c + coalesce(s.ns[array_position(s.options, i::int)], 0)
            FROM unnest(t.counts) WITH ORDINALITY AS u (c, i) ORDER BY i) END
    FROM seen s WHERE s.poll = t.poll
    RETURNING t.poll, t.counts, t.revision, s.options IS NOT NULL AS changed),
progress AS (
    INSERT INTO covered (generation, partition, first, next)
    SELECT * FROM unnest(%(generations)s::smallint[], %(partitions)s::int[], %(firsts)s::bigint[], %(nexts)s::bigint[])
    ON CONFLICT (generation, partition, first) DO UPDATE SET next = greatest(covered.next, excluded.next))
SELECT p.id, t.revision, t.counts, p.open, p.final,
       (SELECT count(*) FROM placed WHERE prev IS NULL) AS counted, (SELECT count(*) FROM rejected) AS rejected,
       n.notified
FROM (SELECT pg_notify('counted', %(note)s)::text AS notified) AS n
LEFT JOIN tally t ON t.changed
LEFT JOIN poll p ON p.number = t.poll
