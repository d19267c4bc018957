"""The kinds of objects in toyworld: one short function each, in files by family."""
