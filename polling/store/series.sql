-- Step 5 of 7, store: how polls stood over time, kept beside the counting and never by it; and what may be taken away.
--
-- name: note_series
-- Keeps how each poll stands whose revision moved since it was last kept, all at one time. A second run right after
-- finds nothing; of two at once the second waits for the first one's marks, and may keep a point more, which does no
-- harm. Answers how many there were.
WITH changed AS MATERIALIZED (
    SELECT t.poll, t.revision, t.counts FROM tallies t LEFT JOIN series_marks m ON m.poll = t.poll
    WHERE t.revision > coalesce(m.revision, 0) ORDER BY t.poll),
marked AS (
    INSERT INTO series_marks AS m (poll, revision) SELECT poll, revision FROM changed ORDER BY poll
    ON CONFLICT (poll) DO UPDATE SET revision = excluded.revision WHERE m.revision < excluded.revision),
noted AS (
    INSERT INTO series (poll, at, counts)
    SELECT c.poll, date_trunc('milliseconds', statement_timestamp()), c.counts
    FROM changed c JOIN polls p ON p.number = c.poll AND p.deleted_at IS NULL
    ON CONFLICT DO NOTHING RETURNING 1)
SELECT count(*) FROM noted

-- name: series
-- How a poll stood over time, the last of each step of so many seconds. Only reads.
SELECT DISTINCT ON (step) at, counts
FROM (SELECT date_bin(%(step)s * interval '1 second', at, '2000-01-01Z') AS step, at, counts
      FROM series WHERE poll = %(poll)s) AS s
ORDER BY step, at DESC

-- name: thin_series
-- Of what is so old, and not much older, leaves the last of each step. A second run finds nothing.
DELETE FROM series s
USING (SELECT poll, at, row_number() OVER (
           PARTITION BY poll, date_bin(%(step)s * interval '1 second', at, '2000-01-01Z') ORDER BY at DESC) AS place
       FROM series
       WHERE at < clock_timestamp() - %(after)s * interval '1 second'
         AND at >= clock_timestamp() - (%(after)s + %(reach)s) * interval '1 second') AS old
WHERE old.place > 1 AND s.poll = old.poll AND s.at = old.at

-- name: forget_series
-- Takes away what is kept of polls that were deleted lately. Safe to run twice.
DELETE FROM series s USING polls p
WHERE p.number = s.poll AND p.deleted_at > clock_timestamp() - interval '1 day'

-- name: ballots_from
-- Some ballots of a poll in the order of their index, from this one on. Only reads.
SELECT ballot, option, cast_at FROM ballots
WHERE poll = %(poll)s AND ballot >= %(first)s::uuid ORDER BY ballot LIMIT %(limit)s
