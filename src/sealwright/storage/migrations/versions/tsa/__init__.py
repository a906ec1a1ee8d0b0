"""Versions of the tsa database's schema."""
