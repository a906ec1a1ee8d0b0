"""Ways to prove who asks; one file for each."""
