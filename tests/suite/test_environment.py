"""What is recorded of the machine and the source."""

import subprocess

from suite.environment import environment, git_commit


def test_the_commit_and_whether_it_was_edited(tmp_path):
    """Outside a repository nothing; inside the commit, marked when a file differs from it."""
    assert git_commit(tmp_path) is None

    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "one")
    assert git_commit(tmp_path) == git("rev-parse", "--short=12", "HEAD")
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path).endswith("+changes")


def test_versions_and_machine():
    """Versions of what computes, the machine and the time are there."""
    import torch

    found = environment()
    assert found["torch"] == torch.__version__ and found["threads"] == torch.get_num_threads()
    assert {"started", "command", "python", "numpy", "processor", "cores", "gpu"} <= found.keys()
