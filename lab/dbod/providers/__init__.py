"""The providers of Database on Demand by name, and those that are not a container host."""
