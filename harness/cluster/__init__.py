"""A Ray cluster: workers on other processes and machines that hold a model, and what becomes of work that they lose."""
