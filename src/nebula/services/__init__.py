"""The use cases, which join the adapters. Each public method does one thing that a person or a worker asks for."""
