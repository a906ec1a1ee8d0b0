"""Versions of the ca database's schema."""
