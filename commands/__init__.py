"""The screen: one file a command, with its options, one call and what it shows. The only room that prints.

A module here imports click and rich alone at its top, so that `--help` is immediate; what does the work is imported by
the function that needs it.
"""
