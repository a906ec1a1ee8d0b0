"""Commands of publishers and relying parties; each module exports `command`, and imports slow things when it runs."""
