"""The web pages that the API serves."""
