"""The click commands: options in, one call, tables and progress out. The only room that prints."""
