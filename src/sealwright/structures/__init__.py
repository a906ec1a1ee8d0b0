"""Bytes in, values out; no I/O: the structures that formats, schemes and roles share."""
