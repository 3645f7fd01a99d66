"""The recipe: schema, strict loader, templates, strategies as fields, static checks; no torch."""
