"""User histories and features: offline files from a catalog, Feast's stores, and the reader that the API uses."""
