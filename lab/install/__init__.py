"""OpenStack onto the machine: one contract, from packages or by DevStack, and the same kind of cloud at the end."""
