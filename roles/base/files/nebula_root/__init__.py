"""Code that the programs of root share (nebula_deploy, nebula_backup, build-release). Needs only Debian's Python."""
