"""Fills a signal cache: from a local teacher, a server, or answers that were stored."""
