-- Step 5 of 7, store: every query the door, the bridge and the tasks ask, each with a name, what it does, and why
-- it is safe to run twice. The counting statement has a file of its own: count.sql.

-- name: create_poll
-- Stores a poll and its empty tally, and answers its number. Not run again by itself: the caller makes the id.
WITH made AS (
    INSERT INTO polls (id, question, options, one_vote_per, allow_change, listed, results_visible, created_at,
                       closes_at, key, admin_token_hash)
    VALUES (%(id)s, %(question)s, %(options)s, %(one_vote_per)s, %(allow_change)s, %(listed)s, %(results_visible)s,
            date_trunc('milliseconds', clock_timestamp()), %(closes_at)s, %(key)s, %(admin_token_hash)s)
    RETURNING number, created_at),
tallied AS (
    INSERT INTO tallies (poll, counts)
    SELECT number, array_fill(0::bigint, ARRAY[cardinality(%(options)s::text[])]) FROM made)
SELECT number, created_at FROM made

-- name: poll
-- One poll as the door knows it, deleted ones too. Only reads.
SELECT number, id, question, options, one_vote_per, allow_change, listed, created_at, closes_at, closed,
       deleted_at IS NOT NULL AS deleted, key, admin_token_hash, results_visible, reopened
FROM polls WHERE id = %(id)s

-- name: polls_changed
-- All polls that changed since a moment, and the database's clock now. Asked with some overlap, because a change
-- carries the time at which it was made and shows only once it is committed. Only reads.
SELECT number, id, question, options, one_vote_per, allow_change, listed, created_at, closes_at, closed,
       deleted_at IS NOT NULL AS deleted, key, admin_token_hash, results_visible, reopened
FROM polls WHERE changed_at > %(since)s

-- name: clock
-- The database's clock. Only reads.
SELECT clock_timestamp()

-- name: results
-- How polls stand now, each a consistent snapshot. `settled`: the revision has moved since the poll closed.
-- Only reads.
SELECT p.id, t.revision, t.counts,
       NOT p.closed AND (p.closes_at IS NULL OR clock_timestamp() <= p.closes_at) AS open,
       p.final, p.announced
FROM polls p JOIN tallies t ON t.poll = p.number
WHERE p.number = ANY(%(numbers)s)

-- name: list_polls
-- A page of listed polls with their results, newest first, from before the cursor's poll. Only reads.
SELECT p.number, p.id, p.question, p.options, p.one_vote_per, p.allow_change, p.listed, p.created_at, p.closes_at,
       p.closed, false AS deleted, p.key, p.admin_token_hash, p.results_visible, p.reopened,
       t.revision, t.counts,
       NOT p.closed AND (p.closes_at IS NULL OR clock_timestamp() <= p.closes_at) AS open,
       p.final, p.announced
FROM polls p JOIN tallies t ON t.poll = p.number
WHERE p.listed AND p.deleted_at IS NULL
  AND (%(before)s::bigint IS NULL OR p.number < %(before)s)
  AND (%(open)s::boolean IS NULL
       OR (NOT p.closed AND (p.closes_at IS NULL OR clock_timestamp() <= p.closes_at)) = %(open)s)
ORDER BY p.number DESC LIMIT %(limit)s

-- name: poll_number
-- The number of a poll by its id, for a cursor. Only reads.
SELECT number FROM polls WHERE id = %(id)s

-- name: vote_state
-- What became of a ballot: the option that counts, what was rejected, and the poll's revision. Only reads.
SELECT (SELECT option FROM ballots WHERE poll = %(poll)s AND ballot = %(ballot)s) AS option,
       (SELECT array_agg(option ORDER BY option, reason) FROM rejections
        WHERE poll = %(poll)s AND ballot = %(ballot)s) AS options,
       (SELECT array_agg(reason ORDER BY option, reason) FROM rejections
        WHERE poll = %(poll)s AND ballot = %(ballot)s) AS reasons,
       (SELECT revision FROM tallies WHERE poll = %(poll)s) AS revision

-- name: announce_closing
-- First step of closing by hand, or of another change of a poll: the word that makes counting batches queue for the
-- row instead of sharing it, so that the closer gets it. Committed on its own. A second run changes nothing.
UPDATE polls SET closing = true, changed_at = clock_timestamp()
WHERE number = %(number)s AND NOT final AND deleted_at IS NULL

-- name: lock_poll
-- Waits until no counting statement holds the poll, and keeps further ones out until the end of the transaction.
SELECT closed OR (closes_at IS NOT NULL AND clock_timestamp() > closes_at) AS over, deleted_at IS NOT NULL AS deleted,
       final
FROM polls WHERE number = %(number)s FOR UPDATE

-- name: votes_so_far
-- Under lock_poll: whether anything is counted, and whether the log's clock has passed the cut-off already: something
-- was judged to be too late. Only reads.
SELECT t.total > 0 AS any, coalesce(t.newest > p.closes_at, false) AS too_late
FROM polls p JOIN tallies t ON t.poll = p.number WHERE p.number = %(number)s

-- name: close_poll
-- Second step of closing by hand, under lock_poll: the cut-off is the later of this clock and the newest log time
-- that counted, so that nothing counted is ever late. Where something was too late for the poll's own time, it is
-- that time. Raises the revision. A closed poll stays as it is.
WITH cut AS (
    UPDATE polls p SET
        closed = true, closing = false, announced = true, changed_at = clock_timestamp(),
        closes_at = least(greatest(date_trunc('milliseconds', clock_timestamp()), t.newest), p.closes_at)
    FROM tallies t
    WHERE p.number = %(number)s AND t.poll = p.number AND NOT p.closed
    RETURNING p.number)
UPDATE tallies SET revision = revision + 1 FROM cut WHERE poll = cut.number

-- name: reopen_poll
-- Takes a closing back, under lock_poll. What was too late stays so, also when it is counted again or comes only now:
-- the span of log time from after the cut-off to the later of this clock and the newest time that was judged joins
-- the poll's gaps. Ends and announcement belonged to that closing. Raises the revision. A final poll stays as it is.
WITH closing AS (
    SELECT p.number, p.closes_at AS began,
           greatest(p.closes_at, date_trunc('milliseconds', clock_timestamp()), t.newest) AS ended
    FROM polls p JOIN tallies t ON t.poll = p.number WHERE p.number = %(number)s),
opened AS (
    UPDATE polls p SET
        closed = false, closing = false, announced = false, ends = NULL, reopened = p.reopened + 1,
        gaps = coalesce(p.gaps, '{}') + tstzmultirange(tstzrange(c.began, c.ended, '(]')),
        closes_at = CASE WHEN %(closes_at)s::timestamptz IS NOT NULL THEN greatest(%(closes_at)s, c.ended) END,
        changed_at = clock_timestamp()
    FROM closing c
    WHERE p.number = c.number AND NOT p.final AND p.deleted_at IS NULL
    RETURNING p.number)
UPDATE tallies SET revision = revision + 1 FROM opened WHERE poll = opened.number

-- name: change_poll
-- Changes what is not null of these, and where `timed` when the poll closes, under lock_poll: not before anything
-- that counted. Raises the revision where that makes a difference.
WITH changed AS (
    UPDATE polls p SET
        question = w.question, options = w.options, closes_at = w.closes_at, results_visible = w.results_visible,
        changed_at = clock_timestamp()
    FROM (SELECT old.number, coalesce(%(question)s, old.question) AS question,
                 coalesce(%(options)s::text[], old.options) AS options,
                 coalesce(%(results_visible)s, old.results_visible) AS results_visible,
                 CASE WHEN NOT %(timed)s THEN old.closes_at
                      WHEN %(closes_at)s::timestamptz IS NOT NULL THEN greatest(%(closes_at)s, t.newest)
                 END AS closes_at
          FROM polls old JOIN tallies t ON t.poll = old.number WHERE old.number = %(number)s) AS w
    WHERE p.number = w.number AND (p.question, p.options, p.closes_at, p.results_visible)
          IS DISTINCT FROM (w.question, w.options, w.closes_at, w.results_visible)
    RETURNING p.number)
UPDATE tallies SET revision = revision + 1 FROM changed WHERE poll = changed.number

-- name: withdraw_closing
-- Takes the word of announce_closing back where nothing was closed. Safe to run twice.
UPDATE polls SET closing = false, changed_at = clock_timestamp() WHERE number = %(number)s AND closing

-- name: delete_poll
-- Makes a poll a tombstone, under lock_poll. A second run changes nothing.
UPDATE polls SET deleted_at = clock_timestamp(), closing = false, changed_at = clock_timestamp()
WHERE number = %(number)s AND deleted_at IS NULL

-- name: leaderboard
-- The options with the most votes over all open, listed polls that show their results to everybody. A poll with an
-- option in the top n is among the first n polls by its greatest count (older first where equal), so that only those
-- are taken apart. Polls with fewer votes in all than `floor` are passed over: who passes a floor above 1 must look
-- whether the answer reaches down to it (tasks/ranking.py). Only reads.
WITH best AS (
    SELECT p.number, p.id, p.question, p.options, t.counts, t.total
    FROM polls p
    JOIN tallies t ON t.poll = p.number
    CROSS JOIN LATERAL (SELECT max(c) AS votes FROM unnest(t.counts) AS c) AS top
    WHERE p.listed AND p.deleted_at IS NULL AND NOT p.closed AND p.results_visible = 'always'
      AND (p.closes_at IS NULL OR clock_timestamp() <= p.closes_at) AND t.total >= %(floor)s
    ORDER BY top.votes DESC, p.number LIMIT %(limit)s)
SELECT b.id, b.question, o.option, b.options[o.option] AS text, o.votes, b.total
FROM best b, unnest(b.counts) WITH ORDINALITY AS o (votes, option)
WHERE o.votes > 0
ORDER BY o.votes DESC, b.number, o.option LIMIT %(limit)s

-- name: make_secret
-- Keeps a secret where there is none yet.
INSERT INTO secrets (name, value) VALUES (%(of)s, %(value)s) ON CONFLICT (name) DO NOTHING

-- name: secret
-- A secret that the system made for itself. Only reads.
SELECT value FROM secrets WHERE name = %(of)s

-- name: generations
-- The generations of the vote log that are not retired, oldest first. Only reads.
SELECT number, topic, cluster_id, topic_id, partitions FROM generations WHERE retired_at IS NULL ORDER BY number

-- name: generations_ever
-- How many generations there ever were. Only reads.
SELECT coalesce(max(number), 0) FROM generations

-- name: topics_ever
-- The names of all topics that are or were generations of the vote log. Only reads.
SELECT DISTINCT topic FROM generations

-- name: add_generation
-- Records a topic as a generation, and a frontier for each of its partitions. A topic id is recorded once.
WITH added AS (
    INSERT INTO generations (number, topic, cluster_id, topic_id, partitions)
    VALUES (%(number)s, %(topic)s, %(cluster_id)s, %(topic_id)s, %(partitions)s)
    RETURNING number)
INSERT INTO frontiers (generation, partition, next)
SELECT added.number, f.partition - 1, f.next FROM added, unnest(%(starts)s::bigint[]) WITH ORDINALITY AS f (next, partition)

-- name: continue_ends
-- What a topic still holds uncounted is counted as another generation's from now on: where counting ends for a closed
-- poll holds there, too. In the transaction that adds the generation; not run twice.
UPDATE polls SET ends = ends || ARRAY(
    SELECT (%(number)s::bigint << 56) | (e & 72057594037927935) FROM unnest(ends) AS e WHERE e >> 56 = %(continued)s)
WHERE ends IS NOT NULL AND NOT final AND deleted_at IS NULL

-- name: retire_generation
-- The log's older topic is read no more. A second run changes nothing.
UPDATE generations SET retired_at = clock_timestamp() WHERE number = %(number)s AND retired_at IS NULL

-- name: frontiers
-- Up to where every record is counted, of the generations that are read. Only reads.
SELECT f.generation, f.partition, f.next FROM frontiers f JOIN generations g ON g.number = f.generation
WHERE g.retired_at IS NULL

-- name: covered
-- Ranges that are counted and not folded yet. Only reads.
SELECT generation, partition, first, next FROM covered

-- name: advance_frontiers
-- Moves frontiers forward, never back, and forgets the ranges that they have passed. What was covered stays
-- covered, so that a late or a second run is harmless.
WITH moved AS (
    UPDATE frontiers f SET next = m.next
    FROM (SELECT * FROM unnest(%(generations)s::smallint[], %(partitions)s::int[], %(nexts)s::bigint[])
              AS m (generation, partition, next) ORDER BY 1, 2) AS m
    WHERE f.generation = m.generation AND f.partition = m.partition AND f.next < m.next)
DELETE FROM covered c
USING unnest(%(generations)s::smallint[], %(partitions)s::int[], %(nexts)s::bigint[]) AS m (generation, partition, next)
WHERE c.generation = m.generation AND c.partition = m.partition AND c.next <= m.next

-- name: record_lost_range
-- A range that the log no longer has although it was never counted. Recorded once; then the range counts as
-- covered, so that the bridge can go on.
WITH lost AS (
    INSERT INTO lost_ranges (generation, partition, first, next)
    VALUES (%(generation)s, %(partition)s, %(first)s, %(next)s)
    ON CONFLICT (generation, partition, first) DO UPDATE SET next = greatest(lost_ranges.next, excluded.next))
INSERT INTO covered (generation, partition, first, next)
VALUES (%(generation)s, %(partition)s, %(first)s, %(next)s)
ON CONFLICT (generation, partition, first) DO UPDATE SET next = greatest(covered.next, excluded.next)

-- name: lost_ranges
-- Lost ranges that nobody has acknowledged. Only reads.
SELECT generation, partition, first, next FROM lost_ranges WHERE acknowledged_at IS NULL ORDER BY 1, 2, 3

-- name: acknowledge_lost_ranges
-- Ends the alarm about ranges that the log lost. Safe to run twice.
UPDATE lost_ranges SET acknowledged_at = clock_timestamp() WHERE acknowledged_at IS NULL

-- name: batch_state
-- Asked by a task before it counts: whether all its ranges are counted already, whether somebody waits to close one
-- of its polls, and whether their numbers are still theirs: after a restored backup they may be other polls'. The ids
-- come in the order of the numbers. Only reads.
SELECT (SELECT bool_and(
            EXISTS (SELECT FROM frontiers f
                    WHERE f.generation = r.generation AND f.partition = r.partition AND f.next >= r.next)
            OR EXISTS (SELECT FROM covered c WHERE c.generation = r.generation AND c.partition = r.partition
                       AND c.first <= r.first AND c.next >= r.next))
        FROM unnest(%(generations)s::smallint[], %(partitions)s::int[], %(firsts)s::bigint[], %(nexts)s::bigint[])
            AS r (generation, partition, first, next)),
       coalesce(bool_or(closing), false),
       coalesce(array_agg(id::text ORDER BY number), '{}') = %(ids)s::text[]
FROM polls WHERE number = ANY(%(polls)s::bigint[])

-- name: poll_shapes
-- The numbers of polls and how many options each has; neither ever changes, so that tasks may keep them. Only reads.
SELECT id, number, cardinality(options) FROM polls WHERE id = ANY(%(ids)s)

-- name: polls_to_announce
-- Polls whose time came and whose sockets were not told. Only reads.
SELECT number FROM polls
WHERE closes_at IS NOT NULL AND NOT final AND deleted_at IS NULL AND NOT announced AND clock_timestamp() > closes_at
ORDER BY number LIMIT %(limit)s

-- name: announce_closed
-- Raises the revision of polls that fell due, once each.
WITH due AS (
    UPDATE polls SET announced = true, changed_at = clock_timestamp()
    WHERE number = ANY(%(numbers)s) AND NOT announced AND clock_timestamp() > closes_at
    RETURNING number, id),
told AS (
    UPDATE tallies t SET revision = revision + 1 FROM due WHERE t.poll = due.number
    RETURNING t.poll, t.revision, t.counts)
SELECT due.id, told.revision, told.counts FROM due JOIN told ON told.poll = due.number

-- name: polls_to_seal
-- Closed polls whose ends are not fixed yet, and which have been closed for the allowed skew, and when each closed.
-- Only reads.
SELECT number, closes_at FROM polls
WHERE closes_at IS NOT NULL AND NOT final AND deleted_at IS NULL AND announced AND ends IS NULL
  AND clock_timestamp() > closes_at + %(skew)s * interval '1 second'
ORDER BY number LIMIT %(limit)s

-- name: seal_poll
-- Fixes the positions from which records never count, under lock_poll: the log's ends, but never before anything
-- that was covered; of retired generations what was covered of them. Set once for a closing; where the poll was opened
-- again since it was listed, those ends are none of its.
UPDATE polls SET ends = (
    SELECT array_agg((e.generation::bigint << 56) | (e.partition::bigint << 42) | greatest(e.next,
        coalesce((SELECT f.next FROM frontiers f WHERE f.generation = e.generation AND f.partition = e.partition), 0),
        coalesce((SELECT max(c.next) FROM covered c WHERE c.generation = e.generation AND c.partition = e.partition), 0)))
    FROM (SELECT * FROM unnest(%(generations)s::smallint[], %(partitions)s::int[], %(nexts)s::bigint[])
          UNION ALL
          SELECT f.generation, f.partition, 0 FROM frontiers f JOIN generations g ON g.number = f.generation
          WHERE g.retired_at IS NOT NULL) AS e (generation, partition, next))
WHERE number = %(number)s AND ends IS NULL AND announced AND closes_at = %(closes_at)s

-- name: finalise
-- Marks polls final whose ends the frontier has reached, once each, and raises their revision. The ends of retired
-- generations count as reached.
WITH ripe AS (
    SELECT number FROM polls p
    WHERE closes_at IS NOT NULL AND NOT final AND deleted_at IS NULL AND ends IS NOT NULL
      AND NOT EXISTS (
        SELECT FROM unnest(p.ends) AS e
        JOIN frontiers f ON f.generation = e >> 56 AND f.partition = ((e >> 42) & 16383)
        JOIN generations g ON g.number = f.generation AND g.retired_at IS NULL
        WHERE f.next < (e & 4398046511103))
    ORDER BY number LIMIT %(limit)s FOR UPDATE),
done AS (
    UPDATE polls p SET final = true, changed_at = clock_timestamp() FROM ripe WHERE p.number = ripe.number AND NOT p.final
    RETURNING p.number, p.id),
told AS (
    UPDATE tallies t SET revision = revision + 1 FROM done WHERE t.poll = done.number
    RETURNING t.poll, t.revision, t.counts)
SELECT done.id, told.revision, told.counts FROM done JOIN told ON told.poll = done.number

-- name: sample_for_recount
-- Some polls by chance, for the steady check of tallies against ballots. Only reads.
SELECT number, id FROM polls WHERE number >= %(from)s AND deleted_at IS NULL ORDER BY number LIMIT %(limit)s

-- name: greatest_poll
-- The greatest number of a poll. Only reads.
SELECT coalesce(max(number), 0) FROM polls

-- name: recount
-- A poll's tally beside a recount of its stored ballots, both from one snapshot. Only reads.
SELECT coalesce(t.counts, '{}'), coalesce(t.total, -1), t.revision, (
    SELECT array_agg(coalesce(r.votes, 0) ORDER BY o.option)
    FROM generate_series(1, cardinality(p.options)) AS o (option)
    LEFT JOIN (SELECT option, count(*) AS votes FROM ballots WHERE poll = %(poll)s GROUP BY option) r USING (option)
    ) AS recounted
FROM polls p LEFT JOIN tallies t ON t.poll = p.number WHERE p.number = %(poll)s

-- name: lock_tally
-- Keeps every counting statement that moves this tally out until the end of the transaction: what they placed shows
-- in the recount that follows, or is added to what that recount sets.
SELECT FROM tallies WHERE poll = %(poll)s FOR UPDATE

-- name: mend_tally
-- Sets a tally to what was recounted under lock_tally, and answers its revision, which is raised. A second run finds
-- nothing to mend.
UPDATE tallies SET counts = %(counts)s::bigint[], total = %(total)s, revision = revision + 1
WHERE poll = %(poll)s AND (counts, total) IS DISTINCT FROM (%(counts)s::bigint[], %(total)s::bigint)
RETURNING revision

-- name: rules_for_recount
-- What decides which casts count, of every poll or of the one named, and how its tally stands. Only reads.
SELECT p.id, cardinality(p.options), p.one_vote_per IS NOT NULL AND p.allow_change,
       floor(extract(epoch FROM p.closes_at) * 1000)::bigint, p.ends, p.created_at, p.deleted_at IS NOT NULL,
       t.counts, t.total,
       ARRAY(SELECT floor(extract(epoch FROM lower(g)) * 1000)::bigint FROM unnest(p.gaps) AS g ORDER BY g),
       ARRAY(SELECT floor(extract(epoch FROM upper(g)) * 1000)::bigint FROM unnest(p.gaps) AS g ORDER BY g)
FROM polls p JOIN tallies t ON t.poll = p.number
WHERE %(id)s::text IS NULL OR p.id = %(id)s
ORDER BY p.number

-- name: every_generation
-- All generations of the vote log there ever were, and when those that are retired were. Only reads.
SELECT number, topic, cluster_id, topic_id, partitions, retired_at FROM generations ORDER BY number

-- name: every_frontier
-- Up to where every record is counted, of all generations there ever were. Only reads.
SELECT generation, partition, next FROM frontiers

-- name: all_polls
-- Every poll's number and id, deleted ones too, in order. Only reads.
SELECT number, id FROM polls WHERE number > %(after)s ORDER BY number LIMIT %(limit)s
