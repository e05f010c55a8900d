"""OpenStack by DevStack: local.conf, stack.sh, and what a mirror keeps of both."""
