"""Giving up root: PostgreSQL must reach a checkout that lies where only root can go, without opening it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from polling.local.privileges import give_up_root


def test_a_command_without_root_still_reaches_what_it_needs(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    programs, data = closed / "programs", closed / "data"
    programs.mkdir(parents=True)
    data.mkdir(mode=0o700)
    program = programs / "program"
    # `test -x` asks access(2), as initdb does; a shell that merely runs it would not notice the difference.
    program.write_text(f'#!/bin/sh\ntest -x "{program}" && touch "{data}/made" && id -u\n')
    program.chmod(0o755)
    secret = tmp_path / "secret"
    secret.write_text("untouched")
    secret.chmod(0o600)
    closed.chmod(0o700)

    prefix = give_up_root([data], programs)

    done = subprocess.run([*prefix, str(program)], capture_output=True, text=True, timeout=30, cwd="/", check=True)
    assert closed.stat().st_mode & 0o777 == 0o700
    assert (data / "made").exists()
    assert int(done.stdout) != 0
    if os.geteuid() == 0:
        written = subprocess.run(
            [*prefix, "sh", "-c", f'echo bad > "{secret}"'], capture_output=True, timeout=30, cwd="/"
        )
        assert written.returncode != 0
        assert secret.read_text() == "untouched"
    else:
        assert prefix == []
