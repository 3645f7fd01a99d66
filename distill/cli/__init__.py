"""The command line: one file per command group; parses, prints, exit codes, no logic."""
