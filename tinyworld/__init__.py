"""The embedded world: rendered scenes with known truth, its models, its data in the official formats."""
