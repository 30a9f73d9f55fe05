"""All rooms: every metric, once, with its unit, what it means, and what to do about it.

Rooms add to them once a batch where they can, never once a vote. `polling.telemetry.serving.share` must run before
this is imported where several processes show their metrics as one.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_MILLISECONDS = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)

# Step 1, accept.
votes_accepted = Counter("polling_votes_accepted", "Votes that Kafka acknowledged, by way in.", ["way"])  # http …
votes_refused = Counter("polling_votes_refused", "Votes that the door refused, by error code.", ["code"])
votes_unacknowledged = Counter(
    "polling_votes_unacknowledged", "Votes answered 503 for want of Kafka's word. Look at Kafka when it grows."
)
http_requests = Counter("polling_http_requests", "HTTP requests answered, by status class (2xx, 4xx, 5xx).", ["status"])
polls_created = Counter("polling_polls_created", "Polls created.")
rate_limited = Counter("polling_rate_limited", "Requests answered 429.")
known_polls = Gauge("polling_known_polls", "Poll definitions in memory.", multiprocess_mode="livesum")

# Step 3, log to task.
log_lag = Gauge(
    "polling_log_lag",
    "Records of the vote log that are not counted yet. Add workers, or look for what stops them, when it grows.",
    ["generation", "partition"],
    multiprocess_mode="livemax",
)
batches_dispatched = Counter("polling_batches_dispatched", "Batches handed to Celery.")
batches_dispatched_again = Counter(
    "polling_batches_dispatched_again", "Batches that were not counted in time. Look at the workers when it grows."
)
batches_in_flight = Gauge(
    "polling_batches_in_flight", "Batches handed out and not counted.", multiprocess_mode="livesum"
)
lost_records = Gauge(
    "polling_lost_records",
    "Records gone from the log before they were counted, and not acknowledged. `polling topics show` tells which.",
    multiprocess_mode="livemax",
)

# Step 4, task.
votes_counted = Counter("polling_votes_counted", "Ballots counted for the first time.")
votes_rejected = Counter("polling_votes_rejected", "Casts that do not count, once for each option and reason.")
votes_dead = Counter(
    "polling_votes_dead", "Records sent to votes.dead, by reason. Look at them with a consumer.", ["reason"]
)
batch_size = Histogram("polling_batch_votes", "Records in a batch.", buckets=_SIZES)
batch_seconds = Histogram("polling_batch_seconds", "Seconds to count a batch.", buckets=_MILLISECONDS)
accept_to_counted = Histogram(
    "polling_accept_to_counted_seconds",
    "Seconds from the door to the count, of the oldest and the newest vote in each batch.",
    buckets=_MILLISECONDS,
)
tally_differences = Gauge(
    "polling_tally_differences",
    "Polls whose tally differed from a recount at the last check. It must be 0: `polling recount` tells which.",
    multiprocess_mode="livemax",
)
live_failures = Counter("polling_live_failures", "Batches whose results could not be told to Redis. Look at Redis.")

# Step 7, show.
sockets = Gauge("polling_sockets", "Open WebSockets.", multiprocess_mode="livesum")
frames_sent = Counter("polling_frames_sent", "Frames written to sockets.")
frames_conflated = Counter("polling_frames_conflated", "Snapshots that a newer one replaced before they were sent.")
slow_readers = Counter("polling_slow_readers", "Sockets closed because nobody read them.")
