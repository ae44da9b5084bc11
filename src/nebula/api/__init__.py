"""The gateway: HTTP in, services called, problems out."""
