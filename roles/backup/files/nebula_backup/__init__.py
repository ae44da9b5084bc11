"""Backs the machine up with restic, and reads the backup again. Root's own program, on Debian's Python alone.

It comes with site.yml and never from a push. One snapshot holds a dump of the database with its manifest, and the
object store's drive as it lies on the disk.
"""
