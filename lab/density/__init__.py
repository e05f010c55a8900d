"""How many databases fit: as virtual machines, as containers, in one server. Needs Docker and QEMU, no OpenStack."""
