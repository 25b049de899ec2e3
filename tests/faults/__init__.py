"""Faults on purpose: commands killed, torn, refused by the disk, raced; each must end as if undisturbed."""
