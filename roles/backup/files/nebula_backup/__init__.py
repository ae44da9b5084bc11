"""Backs up the machine with restic and verifies the backup. Runs as root and needs only Debian's Python.

site.yml installs this package; a push never changes it. A snapshot holds a dump of the database with its manifest, and
the files of the object store as they are on the disk.
"""
