"""The key holder's work: the only code that decides over the use of a subscriber's key, and then uses it."""
