"""The use cases of the machine: throttle, viewers, nodes, status, operations, backups, consistency, sweep."""
