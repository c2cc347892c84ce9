"""`python -m rehearsal COMMAND`: what the make targets call."""

from rehearsal.cli import main

if __name__ == "__main__":
    main()
