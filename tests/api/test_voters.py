"""The browser's cookie: what the fast lane signs is what Tornado reads."""

from __future__ import annotations

from http.cookies import SimpleCookie

from tornado.web import create_signed_value

from polling.api.voters import COOKIE, DAYS, new_voter, signed_cookie, voter_in

KEY = "a key"


def as_sent(set_cookie: str) -> str:
    return set_cookie.partition(";")[0]


def test_a_voter_comes_back() -> None:
    voter = new_voter()
    assert voter_in(f"theme=dark; {as_sent(signed_cookie(voter, KEY, secure=False))}", KEY) == voter


def test_it_is_tornados_own_format() -> None:
    ours = SimpleCookie(as_sent(signed_cookie("v", KEY, secure=False)))[COOKIE].value
    fields = ours.split("|")
    moment = float(fields[2].partition(":")[2])
    assert ours == create_signed_value(KEY, COOKIE, "v", clock=lambda: moment).decode()


def test_a_forged_one_is_as_none() -> None:
    cookie = as_sent(signed_cookie("v", KEY, secure=False))
    assert voter_in(cookie, "another key") is None
    assert voter_in(cookie[:-2] + ('0"' if cookie[-2] != "0" else '1"'), KEY) is None
    assert voter_in("voter=v", KEY) is None
    assert voter_in("other=1", KEY) is None


def test_its_attributes() -> None:
    morsel = SimpleCookie(signed_cookie("v", KEY, secure=True))[COOKIE]
    assert morsel["httponly"]
    assert morsel["secure"]
    assert morsel["samesite"] == "Lax"
    assert morsel["path"] == "/"
    assert morsel["expires"]
    assert not SimpleCookie(signed_cookie("v", KEY, secure=False))[COOKIE]["secure"]
    assert DAYS == 400
