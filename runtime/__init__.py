"""Ground floor: settings, database, clock, errors, signing, jobs, the leader, embedded PostgreSQL."""
