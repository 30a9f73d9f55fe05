"""Step 7's compressed files: which are packed, that they are what they were, and who gets them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from polling.api.packing import Packer, takes_gzip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "locales").mkdir()
    (tmp_path / "page.html").write_text("<p>words</p>" * 50)
    (tmp_path / "locales" / "en.json").write_text("{}")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    return tmp_path


def test_texts_are_packed_and_pictures_are_not(folder: Path) -> None:
    files = Packer(folder)
    packed = files.find("page.html")
    assert packed is not None
    assert gzip.decompress(packed.body) == (folder / "page.html").read_bytes()
    assert len(packed.body) < 60
    assert files.find("locales/en.json") is not None
    assert files.find("picture.png") is None


@pytest.mark.parametrize("name", ["../page.html", "nothing.html", "", "locales", "/etc/passwd", "locales/../page.html"])
def test_no_other_name_leads_anywhere(folder: Path, name: str) -> None:
    assert Packer(folder).find(name) is None


def test_a_changed_file_is_packed_anew_and_a_deleted_one_is_gone(folder: Path) -> None:
    files = Packer(folder)
    before = files.find("page.html")
    page = folder / "page.html"
    page.write_text("other")
    os.utime(page, ns=(1, 1))
    after = files.find("page.html")
    assert before is not None
    assert after is not None
    assert gzip.decompress(after.body) == b"other"
    assert after.etag != before.etag
    page.unlink()
    assert files.find("page.html") is None


@pytest.mark.parametrize("header", ["gzip", "gzip, deflate, br", "br;q=1, GZIP;q=0.5", "deflate,x-gzip", "gzip;q=0.01"])
def test_who_takes_gzip(header: str) -> None:
    assert takes_gzip(header)


@pytest.mark.parametrize("header", ["", "br", "identity", "gzip;q=0", "gzip; q=0.000", "gzipped", "*;q=0"])
def test_who_does_not(header: str) -> None:
    assert not takes_gzip(header)
