"""The console's pages: one module a topic, each with its `ROUTES`, which web/routes.py joins."""
