-- Measuring: what the measurer asks PostgreSQL for itself, each with a name, and what it does.

-- name: seed_polls
-- Makes so many open polls with these options and one key, and their empty tallies; answers the first number and the
-- last. No door needs to know of them. Not run twice: it would make as many again.
WITH made AS (
    INSERT INTO polls (id, question, options, one_vote_per, allow_change, listed, created_at, key, admin_token_hash)
    SELECT %(prefix)s || n, 'Which of them is it, for number ' || n || '?', %(options)s::text[], %(one_vote_per)s, true,
           true, clock_timestamp(), %(key)s, '\x00'::bytea
    FROM generate_series(1, %(polls)s) AS n
    RETURNING number, id),
tallied AS (
    INSERT INTO tallies (poll, counts)
    SELECT number, array_fill(0::bigint, ARRAY[cardinality(%(options)s::text[])]) FROM made)
SELECT number, id FROM made

-- name: store_ballots
-- Stores so many ballots of one poll, as counting would have, evenly over its options. Plain ones are in the order of
-- time and before any that is made today, as `core/ballots.py` makes them; HMAC ones lie evenly over all numbers, so
-- that new ones fall between them.
INSERT INTO ballots (poll, rank, cast_at, ballot, option)
SELECT %(poll)s, CASE WHEN %(hmac)s THEN n ELSE -n END, '2020-01-01'::timestamptz + n * interval '1 ms',
       CASE WHEN %(hmac)s THEN (lpad(to_hex(n * (1152921504606846976 / %(votes)s)), 15, '0') || rpad('', 17, '0'))::uuid
            ELSE (lpad(to_hex(1577836800000 + n), 12, '0') || right(md5(n::text), 20))::uuid END,
       n %% %(options)s + 1
FROM generate_series(0, %(votes)s::bigint - 1) AS n

-- name: add_to_tally
-- Has a poll's tally say what `store_ballots` stored.
UPDATE tallies SET total = total + %(votes)s, counts = ARRAY(
    SELECT c + %(votes)s / %(options)s + (i <= %(votes)s %% %(options)s)::int
    FROM unnest(counts) WITH ORDINALITY AS u (c, i) ORDER BY i)
WHERE poll = %(poll)s

-- name: indexes_of_ballots
-- The indexes of the table of ballots that hold something: those of its partitions, where it has any. Only reads.
SELECT i.indexrelid::regclass::text FROM pg_index i
WHERE i.indrelid IN (SELECT relid FROM pg_partition_tree('ballots') WHERE isleaf UNION SELECT 'ballots'::regclass)
  AND pg_relation_filenode(i.indexrelid) IS NOT NULL

-- name: processed
-- Records of the vote log that are counted or judged, folded into the frontier or not. Only reads.
SELECT (SELECT sum(next) FROM frontiers WHERE generation = 1) + (
    SELECT coalesce(sum(c.next - greatest(c.first, f.next)), 0)
    FROM covered c JOIN frontiers f USING (generation, partition) WHERE c.generation = 1 AND c.next > f.next)

-- name: ledger
-- Of some polls: the votes in their tallies, by option; and how many options of theirs have another number of ballots
-- than the tally says. Only reads.
WITH tallied AS (
    SELECT t.poll, u.option, u.votes
    FROM tallies t, unnest(t.counts) WITH ORDINALITY AS u (votes, option) WHERE t.poll BETWEEN %(first)s AND %(last)s),
stored AS (
    SELECT poll, option, count(*) AS votes FROM ballots WHERE poll BETWEEN %(first)s AND %(last)s GROUP BY 1, 2)
SELECT t.option, sum(t.votes)::bigint, count(*) FILTER (WHERE t.votes <> coalesce(s.votes, 0))
FROM tallied t LEFT JOIN stored s USING (poll, option) GROUP BY 1 ORDER BY 1

-- name: give_votes
-- Gives every option of some polls votes, as if they had been counted: few many, and most few.
UPDATE tallies SET revision = revision + 1,
    counts = ARRAY[1000000000 / poll, 700000000 / poll, 5, 1]::bigint[] ,
    total = 1000000000 / poll + 700000000 / poll + 6
WHERE poll BETWEEN %(first)s AND %(last)s

-- name: multiply_votes
-- Has every tally say so many times as much.
UPDATE tallies SET revision = revision + 1, total = total * %(times)s,
    counts = ARRAY(SELECT c * %(times)s FROM unnest(counts) WITH ORDINALITY AS u (c, i) ORDER BY i)

-- name: best_options
-- The options with the most votes, by looking at every one of them. Only reads.
SELECT p.id, o.option, o.votes
FROM polls p JOIN tallies t ON t.poll = p.number, unnest(t.counts) WITH ORDINALITY AS o (votes, option)
WHERE p.listed AND p.deleted_at IS NULL AND NOT p.closed
  AND (p.closes_at IS NULL OR clock_timestamp() <= p.closes_at) AND o.votes > 0
ORDER BY o.votes DESC, p.number, o.option LIMIT %(limit)s

-- name: group_ballots
-- A poll's ballots by option: the least that a recount has to do. Only reads.
SELECT option, count(*) FROM ballots WHERE poll = %(poll)s GROUP BY option

-- name: sizes_of_ballots
-- Rows of the table of ballots, the bytes of the table, and those of its indexes. Only reads.
SELECT (SELECT count(*) FROM ballots), sum(pg_table_size(relid)), sum(pg_indexes_size(relid))
FROM (SELECT relid FROM pg_partition_tree('ballots') WHERE isleaf UNION SELECT 'ballots'::regclass) AS leaf
