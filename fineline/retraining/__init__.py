"""When an adapter is trained again, and with which data: plain Python that Dagster's schedules and sensors call."""
