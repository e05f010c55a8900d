"""dbod-serve: DBOD's REST and a page over a provider, with durable jobs, schedules and the state checker."""
