"""Hardness of preference pairs by CLIP, and the splitting of responses that it needs."""
