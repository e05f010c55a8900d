"""Guest images: built by content, booted before any cloud sees them; usable with no OpenStack at all."""
