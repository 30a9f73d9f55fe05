"""Tests of the pages in a real browser: Chromium, as the system's packages bring it."""
