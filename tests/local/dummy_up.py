"""`polling up` with dummy parts, for the tests of the supervisor: no part of the real system is needed.

Usage: python dummy_up.py DATA_DIR; the environment is passed on. `DUMMY_STEP` is the exit code of the first step,
`DUMMY_STUBBORN` makes the worker ignore SIGTERM.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from polling.local.parts import Command, Commands
from polling.local.up import up

API = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *args):
        print("answered", self.path)
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
POLITE = "import time\nprint('here I am')\ntime.sleep(600)"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('never')\ntime.sleep(600)"
WITH_CHILD = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('child', child.pid)\nchild.wait()"


def python(program: str) -> tuple[str, ...]:
    """The command line of a small program."""
    return (sys.executable, "-c", program)


if __name__ == "__main__":
    step_code = int(os.environ.get("DUMMY_STEP", "0"))
    worker = STUBBORN if os.environ.get("DUMMY_STUBBORN") else POLITE
    commands = Commands(
        steps=(Command("migrate", python(f"print('the step speaks')\nraise SystemExit({step_code})")),),
        parts=(
            Command("api", python(API)),
            Command("bridge", python(WITH_CHILD)),
            Command("beat", python(POLITE)),
            Command("worker", python(worker), stage=2, stop_limit=1.0),
        ),
    )
    sys.exit(up(dict(os.environ), Path(sys.argv[1]), 1, 1, commands))
