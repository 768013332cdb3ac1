"""Content, runs, schedule, dispatch, reports."""
