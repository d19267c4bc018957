"""Errors that the command line shows as one line, without a traceback."""


class UserError(ValueError):
    """Bad input: the message says what was asked, what is possible and what to type. Exit status 2."""


class Diverged(RuntimeError):
    """An optimization stopped itself: not-a-number, an empty scene, saturated opacity. Exit status 1."""
