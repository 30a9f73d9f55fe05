"""Pure rules and messages: polls, ballots, positions, errors. Imports the standard library and msgspec only."""
