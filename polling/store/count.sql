-- Step 5 of 7, store: the counting statement.
--
-- name: count
-- Places a batch's ballots, records what does not count, moves the tallies, writes which ranges of the log are now
-- covered, and notifies: all in one statement, so that all of it is there or nothing. Safe to run twice, twice at
-- once, and in any order: which of a ballot's casts counts is decided by comparing their ranks, and the option that
-- a ballot moves from is read from the row itself at the moment it is locked (`prev`), never from a snapshot.
--
-- The batch comes as five arrays side by side: cast_polls, cast_ballots, cast_options, cast_positions, cast_times.
-- {lock} is SHARE, or UPDATE where somebody waits to close one of the polls: sharers would starve the closer.
--
-- Every step is linear in the batch. The planner cannot know how long an array is and takes it for ten rows; the
-- series of numbers beside the arrays tells it better, so that it hashes instead of looping. Steps are put together
-- by UNION ALL and GROUP BY where a join of two of them would loop all the same. What most batches do not need is not
-- done: nothing is `lost` where all was placed, and a poll of which one option moved gets that number alone anew.
WITH poll AS MATERIALIZED (
    SELECT number, one_vote_per IS NOT NULL AND allow_change AS last_wins, closes_at, gaps, ends,
           deleted_at IS NOT NULL AS deleted,
           NOT closed AND (closes_at IS NULL OR clock_timestamp() <= closes_at) AS open
    FROM polls WHERE number = ANY(%(polls)s::bigint[]) ORDER BY number FOR {lock}),
judged AS MATERIALIZED (
    SELECT s.poll, s.ballot, s.option, s.at, p.open,
        CASE WHEN p.last_wins THEN s.position ELSE -s.position END AS rank,
        CASE WHEN p.deleted THEN 'poll_deleted'
             WHEN s.at > p.closes_at OR p.gaps @> s.at THEN 'poll_closed'
             WHEN p.ends IS NOT NULL AND NOT EXISTS (
                 SELECT FROM unnest(p.ends) AS e WHERE e >> 42 = s.position >> 42 AND s.position < e) THEN 'poll_closed'
        END AS reason
    FROM ROWS FROM (
        unnest(%(cast_polls)s::bigint[]), unnest(%(cast_ballots)s::uuid[]), unnest(%(cast_options)s::smallint[]),
        unnest(%(cast_positions)s::bigint[]), unnest(%(cast_times)s::timestamptz[]), generate_series(1, 1000)
    ) AS s (poll, ballot, option, position, at, hint)
    JOIN poll p ON p.number = s.poll),
late AS MATERIALIZED (SELECT * FROM judged WHERE reason IS NOT NULL),
ordered AS MATERIALIZED (
    SELECT poll, ballot, option, rank, at, open,
           row_number() OVER casts AS place, first_value(option) OVER casts AS winning
    FROM judged WHERE reason IS NULL
    WINDOW casts AS (PARTITION BY poll, ballot ORDER BY rank DESC)),
placed AS (
    INSERT INTO ballots AS b (poll, rank, cast_at, ballot, option)
    SELECT poll, rank, at, ballot, option FROM ordered WHERE place = 1 ORDER BY poll, ballot
    ON CONFLICT (poll, ballot) DO UPDATE
    SET prev = b.option, option = excluded.option, rank = excluded.rank, cast_at = excluded.cast_at
    WHERE b.rank < excluded.rank
    RETURNING poll, ballot, option, prev, rank),
lost AS (
    SELECT poll, ballot, min(option) AS option FROM (
        SELECT poll, ballot, option FROM ordered WHERE place = 1 AND rank < 0
        UNION ALL
        SELECT poll, ballot, NULL FROM placed) AS candidate
    WHERE (SELECT count(*) FROM placed) < (SELECT count(*) FROM ordered WHERE place = 1)
    GROUP BY poll, ballot HAVING count(*) = count(option)),
rejected AS (
    INSERT INTO rejections (poll, ballot, option, reason)
    SELECT poll, ballot, option, reason FROM late
    UNION
    SELECT poll, ballot, option, 'taken' FROM ordered WHERE option <> winning AND rank < 0
    UNION
    SELECT poll, ballot, option, 'taken' FROM lost l
    WHERE NOT EXISTS (SELECT FROM ballots b WHERE b.poll = l.poll AND b.ballot = l.ballot AND b.option = l.option)
    UNION
    SELECT poll, ballot, prev, 'taken' FROM placed WHERE prev <> option AND rank < 0
    ON CONFLICT DO NOTHING RETURNING 1),
moved AS (
    SELECT poll, option, sum(n)::bigint AS n FROM (
        SELECT poll, option, count(*) AS n FROM placed GROUP BY 1, 2
        UNION ALL
        SELECT poll, prev, -count(*) FROM placed WHERE prev IS NOT NULL GROUP BY 1, 2) AS m
    GROUP BY 1, 2 HAVING sum(n) <> 0),
seen AS MATERIALIZED (
    SELECT poll, max(newest) AS newest, bool_and(open) AS open, coalesce(sum(n), 0)::bigint AS n,
           min(option) AS option, array_agg(option::int) FILTER (WHERE n IS NOT NULL) AS options,
           array_agg(n) FILTER (WHERE n IS NOT NULL) AS ns
    FROM (SELECT poll, max(at) AS newest, bool_and(open) AS open, NULL::smallint AS option, NULL::bigint AS n
          FROM ordered GROUP BY poll
          UNION ALL
          SELECT poll, max(at), bool_and(open), NULL, NULL FROM late GROUP BY poll
          UNION ALL
          SELECT poll, NULL, NULL, option, n FROM moved) AS parts
    GROUP BY poll ORDER BY poll),
tally AS (
    UPDATE tallies t SET
        newest = greatest(t.newest, s.newest),
        revision = t.revision + (s.options IS NOT NULL)::int,
        total = t.total + s.n,
        counts = CASE
            WHEN s.options IS NULL THEN t.counts
            WHEN cardinality(s.options) = 1
            THEN t.counts[:s.option - 1] || (t.counts[s.option] + s.n) || t.counts[s.option + 1:]
            ELSE ARRAY(
                SELECT c + coalesce(s.ns[array_position(s.options, i::int)], 0)
                FROM unnest(t.counts) WITH ORDINALITY AS u (c, i) ORDER BY i) END
    FROM seen s WHERE s.poll = t.poll
    RETURNING t.poll, t.revision, t.counts, s.open, s.options IS NOT NULL AS changed),
progress AS (
    INSERT INTO covered (generation, partition, first, next)
    SELECT * FROM unnest(%(generations)s::smallint[], %(partitions)s::int[], %(firsts)s::bigint[], %(nexts)s::bigint[])
    ON CONFLICT (generation, partition, first) DO UPDATE SET next = greatest(covered.next, excluded.next))
SELECT t.poll, t.revision, t.counts, t.open,
       (SELECT count(*) FROM placed WHERE prev IS NULL) AS counted, (SELECT count(*) FROM rejected) AS rejected,
       n.notified
FROM (SELECT pg_notify('counted', %(note)s)::text AS notified) AS n LEFT JOIN tally t ON t.changed
