"""What went to whom and what came of it: messages, tokens, events."""
