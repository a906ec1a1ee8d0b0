"""Words of the mission as frozen records; one error tree; the closed list of audit events."""
