"""When an adapter is trained again, and on what: plain Python, which Dagster's schedules and sensors ask."""
