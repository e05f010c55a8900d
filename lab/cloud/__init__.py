"""The cloud's APIs, once there is one."""
