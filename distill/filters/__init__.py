"""Filters: each says of every row whether it stays, and why not. One file per kind."""
