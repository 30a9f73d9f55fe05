"""Celery over Kafka: what a worker needs besides the transport: settings that keep tasks, and signals that end well."""

from __future__ import annotations

import os
from typing import Any

from celery.signals import worker_process_init
from celery.worker.request import Request


def celery_settings() -> dict[str, Any]:
    """Celery settings under which no task is lost by a kill, for `app.conf.update()`.

    Tasks are acknowledged after they ran, so a task may run twice; a pool child that dies puts its task back; one
    task per child is prefetched, because what is fetched waits for this worker even while others are idle.
    """
    return {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "task_ignore_result": True,
        "broker_connection_retry_on_startup": True,
        # A task that runs on through a reconnect is acknowledged in vain and runs again: better than killing it.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }


class LargeRequest(Request):
    """Of a task whose arguments are large (`Request` among the task's options): they go to the process that runs it
    once, in the message's body. Celery sends the decoded ones along a second time, and looks at none of them there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request_dict.update(args=[], kwargs={})


def install_worker_signals() -> None:
    """Let a signal to the worker's process group (Ctrl-C, a supervisor, a container) reach its main process alone.

    SIGTERM would end the pool's children at once, in the middle of their tasks, while the main process waits for
    those very tasks. In a group of their own they finish what they do, and the main process ends them. Killed with
    SIGKILL, the main process takes them along (Linux: Celery asks for that itself).

    Call it once where the Celery app is made. It has an effect in prefork pools only.
    """
    worker_process_init.connect(_leave_the_group, weak=False, dispatch_uid="kafka_transport.leave_the_group")


def _leave_the_group(**_: Any) -> None:
    os.setpgid(0, 0)
