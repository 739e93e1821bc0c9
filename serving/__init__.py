"""The online path: histories from Feast, a policy engine, one HTTP API, feedback that is never lost, and a page."""
