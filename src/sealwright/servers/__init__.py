"""One deployable each: settings, wiring, routes; nothing else."""
