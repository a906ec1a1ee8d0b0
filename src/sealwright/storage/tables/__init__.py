"""Tables by role; every role has a database of its own, with its own log in it."""
