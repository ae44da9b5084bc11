"""Brings pushed commits to life on the machine, and takes them back. Root's own program, on Debian's Python alone.

It comes with site.yml and never from a push: what was pushed runs as nebula-build (while it is built) and as nebula.
"""
