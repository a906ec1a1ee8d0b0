"""The ledger: how entries grow a role's log, how old leaves are proved, and how a whole log is proved again."""
