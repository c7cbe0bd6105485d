"""What is exported, run by the programs that it is exported for."""
