"""Sealwright: a code signing service that proves every signature it makes."""

__version__ = "0.1.0"
