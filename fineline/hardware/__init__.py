"""Hardware: the devices of this machine, and those that a plan can be made for."""
