"""Studies: published systems, each run whole by one command, and what they share."""
