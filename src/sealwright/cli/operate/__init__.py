"""Commands for operators: they work on a deployment's directory, on the machine where it lives."""
