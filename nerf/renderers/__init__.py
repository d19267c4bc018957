"""From fields and rays to images."""
