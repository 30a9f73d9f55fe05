"""`python -m polling` is the command `polling`."""

from polling.cli import main

if __name__ == "__main__":
    main()
