"""What gunicorn serves: pgAdmin as a server for several users, as its image does."""

import builtins

builtins.SERVER_MODE = True

from pgAdmin4 import app  # noqa: E402

__all__ = ["app"]
