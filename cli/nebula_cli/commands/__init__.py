"""The commands, one module per subject. Each is a function with keyword-only options; its docstring is its help."""
