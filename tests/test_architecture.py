"""Tests: the rooms: who imports whom, what each file says of itself, how long it is, and what is installed."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP = ("polling", "bridge", "tasks", "websocket")
MODULES = sorted(path for top in TOP for path in (ROOT / top).rglob("*.py") if "__pycache__" not in path.parts)
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]

ROOMS: dict[str, set[str]] = {
    "polling": set(),
    "polling.core": set(),
    "polling.settings": {"polling.core"},
    "polling.telemetry": set(),
    "polling.waiting": set(),
    "polling.store": {"polling.core", "polling.settings"},
    "polling.vote_log": {"polling.core", "polling.settings"},
    "polling.live": {"polling.core", "polling.settings"},
    "polling.casting": {"polling.core", "polling.settings", "polling.store", "polling.vote_log", "polling.live"},
    "polling.configured": {"polling.settings"},
    "polling.log_admin": {"polling.core", "polling.settings", "polling.store", "polling.vote_log"},
    "polling.log_cli": {
        "polling.configured",
        "polling.log_admin",
        "polling.settings",
        "polling.store",
        "polling.vote_log",
        "polling.waiting",
    },
    "polling.dead_cli": {"polling.configured", "polling.settings", "polling.store", "polling.vote_log"},
    "polling.log_recount": {"polling.core", "polling.store", "polling.vote_log"},
    "polling.recount_cli": {
        "polling.configured",
        "polling.log_recount",
        "polling.settings",
        "polling.store",
        "polling.vote_log",
    },
    "polling.local": {"polling.settings"},
    "polling.web": set(),
    "polling.api": {
        "polling",
        "polling.core",
        "polling.settings",
        "polling.store",
        "polling.vote_log",
        "polling.live",
        "polling.casting",
    },
    "bridge": {"polling.core", "polling.settings", "polling.store", "polling.vote_log", "tasks.messages"},
    "tasks": {"polling.core", "polling.settings", "polling.store", "polling.live", "polling.vote_log"},
    "tasks.kafka_transport": set(),
    "websocket": {"polling.core", "polling.settings", "polling.store", "polling.live", "polling.casting"},
}
"""What each room may import of ours, beside itself. `telemetry` is for all but `core` and the transport."""

EXCEPTIONS: dict[str, set[str]] = {
    "polling/cli.py": {
        "polling",
        "polling.settings",
        "polling.api.app",
        "polling.configured",
        "polling.local.up",
        "polling.dead_cli",
        "polling.log_cli",
        "polling.recount_cli",
        "polling.store",
        "polling.waiting",
        "bridge.main",
        "tasks.running",
    },
    "polling/__main__.py": {"polling.cli"},
    "polling/api/app.py": {"websocket"},
    "tasks/app.py": {"tasks.kafka_transport"},
    "tasks/messages.py": {"tasks.kafka_transport"},
    "tasks/running.py": {"tasks.kafka_transport"},
}
"""Files that put parts together, and so may import more."""

INNER = {
    "bridge": {"polling.store": {"frontier", "rows"}},
    "tasks": {"polling.store": {"counting", "arrays", "queries", "recounting", "rows"}},
    "websocket": {"polling.store": {"door"}},
}
"""Of the store a room sees its own side alone: the bridge the frontier, the tasks the count, the sockets the reads."""

LONG: dict[str, str] = {}
"""Modules over 250 lines, and why they are not two."""

HEADINGS = re.compile(r"(Steps? \d( (to|and) \d)? of 7|All rooms|The embedded stack)\b.*: ")
PURE = {
    "polling/__init__.py",
    "polling/__main__.py",
    "polling/core/__init__.py",
    "polling/settings.py",
    "polling/web/__init__.py",
}


def imports(path: Path) -> Iterator[str]:
    """The full names of all modules that a file imports, wherever in it the import stands."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (_module(module, alias.name) for alias in node.names)


def _module(package: str, name: str) -> str:
    """`from package import name`: the module where `name` is one, else the package."""
    path = ROOT.joinpath(*package.split("."), name)
    return f"{package}.{name}" if path.is_dir() or path.with_suffix(".py").exists() else package


def room_of(module: str) -> str:
    """The room that a module of ours is in: the longest that its name begins with."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (room := ".".join(parts[:length])) in ROOMS:
            return room
    raise AssertionError(f"{module} is in no room: the architecture does not know it")


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def allowed(path: Path, module: str) -> bool:
    """Whether a file may import a module of ours."""
    own, other = room_of(module_of(path)) if path.name != "cli.py" else "cli", room_of(module)
    more = EXCEPTIONS.get(str(path.relative_to(ROOT)), set())
    if own == other or any(module == one or module.startswith(f"{one}.") for one in more):
        return True
    if other == "polling.telemetry":
        return own not in ("polling.core", "tasks.kafka_transport")
    may = ROOMS.get(own, set())
    return module in may or (other in may and other not in ("polling", "tasks"))


@pytest.mark.parametrize("name", NAMES)
def test_a_room_imports_only_what_it_may(name: str) -> None:
    path = ROOT / name
    ours = [module for module in imports(path) if module.split(".")[0] in TOP]
    assert [module for module in ours if not allowed(path, module)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.split("/")[0] in INNER])
def test_a_room_sees_its_own_side_of_the_store(name: str) -> None:
    sides = INNER[name.split("/")[0]]
    for module in imports(ROOT / name):
        for room, inner in sides.items():
            if module.startswith(f"{room}."):
                assert module.split(".")[2] in inner, module


def test_the_test_of_imports_can_fail() -> None:
    bridge = ROOT / "bridge" / "reader.py"
    assert allowed(bridge, "tasks.messages")
    for forbidden in ("tasks.recording", "polling.live", "websocket.hub", "polling.api.app", "polling.casting"):
        assert not allowed(bridge, forbidden), forbidden
    assert not allowed(ROOT / "polling" / "core" / "polls.py", "polling.telemetry")
    assert not allowed(ROOT / "polling" / "api" / "votes.py", "websocket.hub")
    assert not allowed(ROOT / "polling" / "store" / "door.py", "polling.live")
    assert not allowed(ROOT / "tasks" / "kafka_transport" / "pump.py", "polling.telemetry")


def test_core_imports_the_standard_library_and_msgspec_only() -> None:
    import sys

    for path in (ROOT / "polling" / "core").glob("*.py"):
        for module in imports(path):
            top = module.split(".")[0]
            assert module.startswith("polling.core") or top == "msgspec" or top in sys.stdlib_module_names, module


def reads_environment(path: Path) -> bool:
    """Whether a file reads variables; one that only sets them, for another program's eyes, does not."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    set_there = {id(n.value) for n in nodes if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store)}
    looked = (n for n in nodes if isinstance(n, ast.Attribute) and n.attr in ("environ", "environb", "getenv"))
    return any(id(node) not in set_there for node in looked)


def test_only_the_settings_read_the_environment() -> None:
    """Telemetry looks for a variable that it has set itself, and the embedded stack for programs and homes."""
    others = {"polling/telemetry/serving.py"}
    found = {str(path.relative_to(ROOT)) for path in MODULES if reads_environment(path)}
    assert "polling/settings.py" in found
    assert {n for n in found - others - {"polling/settings.py"} if not n.startswith("polling/local/")} == set()


@pytest.mark.parametrize("name", NAMES)
def test_the_first_line_of_a_module_places_it(name: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8")))
    assert docstring, "no docstring"
    first = docstring.splitlines()[0]
    placed = HEADINGS.match(first) or name in PURE or name.startswith(("tasks/kafka_transport/", "polling/core/"))
    assert placed, first
    assert first.endswith((".", ":", ";", ",")) or len(docstring.splitlines()) > 1, first


@pytest.mark.parametrize("name", NAMES)
def test_a_module_is_no_longer_than_a_room(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").count("\n")
    assert lines <= 250 or name in LONG, f"{lines} lines"


def test_long_modules_are_still_long() -> None:
    for name in LONG:
        assert (ROOT / name).read_text(encoding="utf-8").count("\n") > 250, f"{name} needs no exception any more"


@pytest.mark.parametrize("name", NAMES)
def test_no_work_is_left_undone_silently(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX)\b|NotImplementedError", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, "a bare except"
            swallowed = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
            assert not swallowed, f"line {node.lineno}: an exception is swallowed"


def test_websocket_is_ours() -> None:
    """Selenium and others bring a package of this name, which would shadow ours or be shadowed by it."""
    import websocket

    assert Path(websocket.__file__ or "").parent == ROOT / "websocket"
    for distribution in distributions():
        name = distribution.metadata["Name"].lower()
        if name != "live-polling":
            tops = {str(file).split("/")[0] for file in distribution.files or ()}
            assert not tops & {"websocket", "websocket.py", "polling", "bridge", "tasks"}, name


def requirements() -> set[str]:
    """The names of all packages that setup.py asks for."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg in ("install_requires", "extras_require"):
            for text in ast.walk(node.value):
                if isinstance(text, ast.List):
                    found |= {_plain(one.value) for one in text.elts if isinstance(one, ast.Constant)}
    return found


def _plain(requirement: object) -> str:
    name = re.match(r"[A-Za-z0-9_.-]+", str(requirement))
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group().lower())


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line) for line in pins)
    return {_plain(name): version for name, _, version in (line.partition("==") for line in pins)}


def test_every_package_is_pinned() -> None:
    assert len(requirements()) > 25
    assert requirements() - pinned().keys() == set()


def test_what_is_installed_is_what_is_pinned() -> None:
    """But for setuptools, which comes with the virtual environment and is needed to build alone."""
    installed = {_plain(one.metadata["Name"]): one.version for one in distributions()}
    installed.pop("setuptools", None)
    wanted = {name: version for name, version in pinned().items() if name in installed}
    assert {name: installed[name] for name in wanted} == wanted


def test_what_is_imported_is_asked_for() -> None:
    """Every package that the code imports stands in setup.py, so that `pip install .` is enough."""
    import sys

    names = {
        "confluent_kafka": "confluent-kafka",
        "prometheus_client": "prometheus-client",
        "psycopg_pool": "psycopg-pool",
    }
    names |= {"psycopg2": "psycopg2-binary", "billiard": "celery", "vine": "celery", "amqp": "kombu"}
    asked = requirements()
    for path in MODULES:
        for module in imports(path):
            top = module.split(".")[0]
            if top not in TOP and top not in sys.stdlib_module_names and top != "__future__":
                assert names.get(top, _plain(top)) in asked, f"{path.name} imports {top}"


def test_the_tools_are_strict() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["mypy"]["strict"] is True
    assert tools["pytest"]["ini_options"]["filterwarnings"] == ["error"]


def test_what_the_brief_wants_at_the_top_is_there() -> None:
    for name in ("polling", "tasks", "bridge", "websocket", "tests"):
        assert (ROOT / name).is_dir()
    for name in ("docker-compose.yml", "zookeeper.properties", ".env.sample", "setup.py", "LICENSE"):
        assert (ROOT / name).is_file()
    lines = (ROOT / "zookeeper.properties").read_text(encoding="utf-8").split()
    assert lines == ["tickTime=2000", "dataDir=/var/lib/zookeeper", "clientPort=2181", "initLimit=5", "syncLimit=2"]
