"""The integration tests: beat sends on when the connection that it had is of no use any more, and what it sends is run
by the tasks of its own application."""

from __future__ import annotations

import pytest
from celery.beat import SchedulingError
from support.system import System

from polling.settings import Settings
from tasks.app import make_app
from tasks.running import LastingScheduler


def test_beat_begins_anew_with_a_connection_that_failed(whole: System) -> None:
    scheduler = LastingScheduler(app=make_app(whole.settings))
    entry = scheduler.schedule["polling.refresh_leaderboard"]
    assert scheduler.apply_async(entry, producer=scheduler.producer)
    scheduler.producer.revive(scheduler.connection.channel())
    scheduler.producer.channel.close()
    with pytest.raises(SchedulingError, match="channel disconnected"):
        scheduler.apply_async(entry, producer=scheduler.producer)
    assert scheduler.apply_async(entry, producer=scheduler.producer)


def test_two_applications_of_one_process_keep_their_own_tasks(settings: Settings) -> None:
    one, other = make_app(settings), make_app(settings)
    ours = {name for name in one.tasks if name.startswith("polling.")}
    assert len(ours) == 6
    assert ours == {name for name in other.tasks if name.startswith("polling.")}
    assert not {one.tasks[name].run for name in ours} & {other.tasks[name].run for name in ours}
