"""Numbered checks of what a file's signatures claim, and a verdict with evidence, at a given time; no I/O."""
