"""The contract's tests: black-box, against the running system: every row and sentence of the contract."""
