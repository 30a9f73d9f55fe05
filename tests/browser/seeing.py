"""What a test reads off a poll's page, and waits for."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

VOTES = re.compile(r"([\d,.]+) votes?")


def open_poll(page: Page, path: str) -> None:
    """Opens a page of a poll, and waits until one can vote on it."""
    page.goto(path)
    page.wait_for_selector("body[data-ready]")


def expect_live(page: Page) -> None:
    """The page says that it is live."""
    expect(page.locator("#live")).to_have_text("Live")


def expect_votes(page: Page, *votes: int) -> None:
    """The bars show so many votes each, the page their sum."""
    for index, number in enumerate(votes):
        text = f"{number:,} vote" if number == 1 else f"{number:,} votes"
        expect(page.locator("#options .votes").nth(index)).to_have_text(text)
    total = sum(votes)
    expect(page.locator("#total")).to_have_text(f"{total:,} vote" if total == 1 else f"{total:,} votes")


def tap(page: Page, option: int) -> None:
    """Votes for an option, by its place."""
    page.locator("#options .bar").nth(option).click()


def expect_counted(page: Page) -> None:
    """The vote went through all its steps."""
    expect(page.locator("#steps li.done")).to_have_count(3)
    expect(page.locator("#ballot-words")).to_contain_text("is counted")


def extents(page: Page) -> list[float]:
    """How far each bar reaches, from 0 to 1, as it is drawn."""
    found = page.locator("#options .fill").evaluate_all(
        """fills => fills.map(fill => {
            const box = fill.getBoundingClientRect(), whole = fill.parentElement.getBoundingClientRect();
            const seen = Math.min(box.right, whole.right) - Math.max(box.left, whole.left);
            return Math.max(0, seen / whole.width);
        })"""
    )
    return [float(one) for one in found]
