"""The certification authority's work: profiles, prepare, lint, one-use token, issue, revoke."""
