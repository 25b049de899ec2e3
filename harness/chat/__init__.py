"""The OpenAI-compatible chat client: calls, retries, throttle, prices, and the reading of completions."""
