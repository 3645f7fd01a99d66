"""The formats in which packs leave and decisions come back, one file each."""
