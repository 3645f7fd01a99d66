"""Rows into train and val."""
