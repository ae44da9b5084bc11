"""Resources by subject. Each responder parses the request, calls one service, and builds the answer."""
