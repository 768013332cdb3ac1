"""Starlette app: console, public pages, tracking endpoints, provider callbacks, JSON API."""
