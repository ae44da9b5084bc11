"""The commands by subject. Each is a function with keyword-only options whose docstring is its help."""
