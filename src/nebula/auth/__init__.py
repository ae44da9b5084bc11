"""Passwords (passlib) and access tokens (PyJWT)."""
