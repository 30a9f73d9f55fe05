"""Step 6 of 7, tell: the only door into Redis.

Redis carries what is new (pub/sub) and remembers what is handy (caches); it is never the only place that holds
anything. So nothing here raises into its caller: where Redis is away a question is answered with None, a message
is dropped, and whoever listens is told to read again once it is back.
"""

from polling.live.door import Live
from polling.live.publisher import LivePublisher

__all__ = ["Live", "LivePublisher"]
