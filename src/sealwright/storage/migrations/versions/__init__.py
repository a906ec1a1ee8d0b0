"""Versions by role."""
