"""The one door to the Docker engine: images, containers, volumes, and whose each is."""
