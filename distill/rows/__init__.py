"""Rows in files: readers, stage parts, the dataset, and turning a row into tokens."""
