"""Pure rules and messages: polls, ballots, errors, wire formats. Imports the standard library and msgspec only."""
