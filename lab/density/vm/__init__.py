"""Virtual machines for databases, by QEMU alone."""
