"""Charts of the store, inline for the page and as files for papers."""
