"""Root file systems, disks and archives, built by content; no OpenStack, no provider."""
