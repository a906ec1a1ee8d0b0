"""Which principals may make which signing requests: Cedar, default deny."""
