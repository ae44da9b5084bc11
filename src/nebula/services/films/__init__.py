"""Makes films: from a claimed task to a stored and published result."""
