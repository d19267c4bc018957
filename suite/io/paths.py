"""Files that should be there."""

from pathlib import Path

from suite.errors import UserError


class MissingFile(UserError, FileNotFoundError):
    """A file that was named is not there; the command line shows one line."""

    def __str__(self) -> str:  # OSError's own would want (errno, text)
        return str(self.args[0])


def existing_file(path: str | Path, what: str) -> Path:
    """The path, if it is a file; `what` is "image", "video", "mesh".

    Raises:
        MissingFile: It is not there, or it is a folder.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise MissingFile(f"{path} is a folder, not a file with one {what}.")
    if not path.is_file():
        raise MissingFile(f"There is no {what} at {path}.")
    return path
