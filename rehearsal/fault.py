"""The one exception for what the person at the keyboard can mend."""


class Fault(Exception):
    """A mistake or a missing precondition. Its text is one line: what is wrong, and what to do next.

    The command line prints it without a traceback and exits with 1; anything else is a bug and keeps its traceback.
    """
