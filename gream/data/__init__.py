"""Catalogs: the two tables that everything else starts from, their importers, filters and splits."""
