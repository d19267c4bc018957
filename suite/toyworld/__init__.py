"""A small world of which everything is known: objects, people, motions, captions and exact renders."""
