"""Instances as Docker containers: ``compute_driver = docker.DockerDriver``."""

from nova.virt.docker.driver import DockerDriver as DockerDriver
