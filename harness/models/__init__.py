"""Models by name, loading, prompts, and the backends that answer."""
