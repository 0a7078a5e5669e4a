"""Studies: each makes the pictures of a page under docs, from nothing but this repository."""
