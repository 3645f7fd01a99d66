"""The recipe: schema, strict loader, templates, expansion of strategies and static checks; no torch."""
