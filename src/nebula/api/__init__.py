"""The gateway: it reads HTTP requests, calls services, and answers errors with problem details."""
