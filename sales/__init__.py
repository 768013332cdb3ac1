"""Salespeople: follow-ups and scores."""
