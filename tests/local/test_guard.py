"""The guard: it ends what is left over, and nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from polling.local.guard import end_leftovers, start_time

from .helpers import runs


def _sleeper(*, polite: bool = True) -> subprocess.Popen[bytes]:
    ignore = "" if polite else "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    program = f"import signal, time; {ignore}print('up', flush=True); time.sleep(600)"
    sleeper = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    assert sleeper.stdout is not None
    assert sleeper.stdout.readline() == b"up\n"
    sleeper.stdout.close()
    return sleeper


def _record(run: Path, name: str, pid: int, started: str | None) -> None:
    entry = {"pid": pid, "started": started, "signal": int(signal.SIGTERM)}
    (run / f"{name}.json").write_text(json.dumps(entry))


def test_a_pid_that_is_now_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    somebody = _sleeper()
    try:
        _record(tmp_path, "beat", somebody.pid, f"{start_time(somebody.pid)}0")
        assert end_leftovers(tmp_path) == []
        assert runs(somebody.pid)
        assert not (tmp_path / "beat.json").exists()
    finally:
        somebody.kill()
        somebody.wait()


def test_what_is_ours_is_ended_politely_or_not(tmp_path: Path) -> None:
    sleepers = [_sleeper(), _sleeper(polite=False)]
    for number, sleeper in enumerate(sleepers):
        _record(tmp_path, f"part{number}", sleeper.pid, start_time(sleeper.pid))
    assert end_leftovers(tmp_path, grace=3.0) == ["part0", "part1"]
    assert [sleeper.wait(60) for sleeper in sleepers] == [-signal.SIGTERM, -signal.SIGKILL]
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_is_put_away(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text("{half")
    assert end_leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
