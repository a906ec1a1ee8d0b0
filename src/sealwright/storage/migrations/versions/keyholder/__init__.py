"""Versions of the keyholder database's schema."""
