"""From footprints to hosts: the fleet's plan."""
