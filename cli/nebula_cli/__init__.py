"""The client `nebula`: it speaks HTTP to a gateway and imports nothing of the server."""

# The distribution's version; a test holds it against the server's, which is the source.
__version__ = "0.1.0"
