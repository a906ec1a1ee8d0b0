"""The timestamp authority's work: accept or refuse a request, stamp it, count what was stamped."""
