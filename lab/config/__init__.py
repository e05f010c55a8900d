"""What may be asked for and what goes together: settings, the catalogue, and the plan made of both."""
