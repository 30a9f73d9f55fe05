"""The documents name variables, commands, files, metrics and codes that exist, and all variables there are."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from polling import settings
from polling.cli import cli
from polling.core import errors
from polling.telemetry import metrics
from websocket import close_codes

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in DOCUMENTS}
VARIABLES = sorted(field.name.upper() for field in dataclasses.fields(settings.Settings))
EVERY_DOCUMENT = pytest.mark.parametrize("name", sorted(TEXTS))

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|`)polling ((?:[a-z]+ ?)+)", re.MULTILINE)


def test_there_are_documents() -> None:
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/api.md", "docs/operations.md"} <= set(TEXTS)


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_is_in_a_table_and_in_the_sample(variable: str) -> None:
    rows = [line for text in TEXTS.values() for line in text.splitlines() if line.startswith("| `")]
    assert any(f"`{variable}`" in row.split("|")[1] for row in rows), f"{variable} is in no table"
    sample = (ROOT / ".env.sample").read_text(encoding="utf-8")
    assert re.search(rf"^#?{variable}=", sample, re.MULTILINE), f"{variable} is not in .env.sample"


def test_no_table_of_the_readme_names_a_variable_that_is_not_in_the_sample() -> None:
    section = TEXTS["README.md"].partition("## Configuration")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z][A-Z_]+)`", "\n".join(row.split("|")[1] for row in _rows(section))))
    sample = set(re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.sample").read_text(encoding="utf-8"), re.MULTILINE))
    assert named == sample


@EVERY_DOCUMENT
def test_every_command_exists(name: str) -> None:
    for words in _COMMAND.findall(TEXTS[name]):
        _assert_command(words.split())


def test_every_command_is_documented() -> None:
    everything = "\n".join(TEXTS.values())
    for path in _commands(cli, ()):
        assert f"polling {' '.join(path)}" in everything, path


@EVERY_DOCUMENT
def test_every_target_of_make_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`|= )make ([a-z]+)(?=`| {2}|$)", TEXTS[name], re.MULTILINE)) <= targets


def test_the_map_of_folders_is_true() -> None:
    block = TEXTS["README.md"].partition("## The folders")[2].split("```")[1]
    above = ROOT
    for line in block.strip().splitlines():
        path = line.split()[0]
        if line.startswith("  "):
            assert (above / path).exists(), line
        else:
            above = ROOT / path
            assert above.is_dir(), line


@EVERY_DOCUMENT
def test_every_link_into_the_repository_leads_somewhere(name: str) -> None:
    for target in _LINK.findall(_FENCE.sub("", TEXTS[name])):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in _anchors(path.read_text(encoding="utf-8")), f"{name} links to {target}"


def test_every_metric_is_explained_and_none_is_made_up() -> None:
    section = TEXTS["docs/operations.md"].partition("## Metrics")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(row.split("|")[1] for row in _rows(section))))
    there = {one._name.removeprefix("polling_") for one in vars(metrics).values() if hasattr(one, "_name")}
    assert named == there


def test_every_error_code_is_explained_and_none_is_made_up() -> None:
    section = TEXTS["docs/api.md"].partition("## Errors")[2].partition("\n## ")[0]
    rows = [row.split("|") for row in _rows(section)]
    named = {
        (status, code) for row in rows for code in re.findall(r"`([a-z_]+)`", row[2]) for status in _numbers(row[1])
    }
    there = {(one.status, one.code) for one in _family(errors.PollingError)}
    assert {code for _, code in named} == {code for _, code in there}
    assert there <= named


def test_every_close_code_is_explained() -> None:
    for code in close_codes.ALL:
        row = next(line for line in TEXTS["docs/api.md"].splitlines() if line.startswith(f"| {code.code} |"))
        assert ("yes" in row) == code.reconnect, row


@EVERY_DOCUMENT
def test_code_blocks_are_closed(name: str) -> None:
    assert len(re.findall(r"^```", TEXTS[name], re.MULTILINE)) % 2 == 0


def _assert_command(words: list[str]) -> None:
    """Fails where these words begin no command of ours. Words after a whole command are its arguments."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            return
        assert word in command.commands, f"polling {' '.join(words)}"
        command = command.commands[word]


def _commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name)


def _family(one: type[errors.PollingError]) -> Iterator[type[errors.PollingError]]:
    """Those that are raised: the leaves, which alone have codes of their own."""
    below = one.__subclasses__()
    if not below:
        yield one
    for each in below:
        yield from _family(each)


def _rows(text: str) -> list[str]:
    """The rows of tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [line for line in lines[2:] if not line.startswith("|-")]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _anchors(text: str) -> set[str]:
    """As GitHub makes them: lower case, blanks to hyphens, without punctuation."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
