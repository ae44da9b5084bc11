"""Resources by subject; each responder parses, calls one service, and shapes the answer."""
