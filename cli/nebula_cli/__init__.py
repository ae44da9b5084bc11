"""The command-line client `nebula`. It speaks HTTP to a gateway and imports nothing from the server."""

# The distribution's version. The server's version is the source; a test checks that the two are equal.
__version__ = "0.1.0"
