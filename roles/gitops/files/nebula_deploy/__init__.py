"""Deploys pushed commits on this machine, and rolls back. Runs as root and needs only Debian's Python.

site.yml installs this package, and a push never changes it. Pushed code runs as nebula-build during the build, and as
nebula afterwards.
"""
