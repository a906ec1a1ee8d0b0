"""The command line: `use` for publishers and relying parties, `operate` for those who run a service."""
