"""From the store to tables, figures and reports."""
