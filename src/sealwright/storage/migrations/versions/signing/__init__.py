"""Versions of the signing database's schema."""
