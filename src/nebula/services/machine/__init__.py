"""The machine itself: throttle, viewers, nodes, status, operations, backups, consistency, sweep."""
