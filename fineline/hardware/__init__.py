"""Hardware: the devices of this machine, and the table of devices that a plan can be made for."""
