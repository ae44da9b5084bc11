"""What root's own programs (nebula_deploy, nebula_backup, build-release) share. It stands on Debian's Python alone."""
