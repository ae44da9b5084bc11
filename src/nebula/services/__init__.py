"""The use cases. Here the adapters meet; each public method is one thing that a person or a worker asks for."""
