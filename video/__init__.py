"""From a prior and motion modules to frames."""
