"""The workers: Celery's settings, and Celery tasks that call a service."""
