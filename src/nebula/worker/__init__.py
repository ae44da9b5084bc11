"""The workers: Celery's settings, and task bodies that call a service."""
