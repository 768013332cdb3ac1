"""The records: customers and all they have, consent, suppressions, activity, and how files become records."""
