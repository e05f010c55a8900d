"""The ``[docker]`` option group."""

import nova.conf
from oslo_config import cfg

CONF = nova.conf.CONF

GROUP = cfg.OptGroup("docker", title="Docker driver", help="Options of the Docker compute driver.")

OPTS = [
    cfg.StrOpt("url", default="unix:///var/run/docker.sock", help="The Docker daemon's address."),
    cfg.IntOpt("timeout", default=600, min=1, help="Seconds that one request to the Docker daemon may take."),
    cfg.StrOpt(
        "profile",
        default="plain",
        choices=[
            ("plain", "Docker's own confinement. For ordinary application images."),
            (
                "system",
                "systemd as PID 1, a nested dockerd: all capabilities, no seccomp or AppArmor. Root in it "
                "is root on the host: for guests that you trust.",
            ),
        ],
        help="Confinement of instances whose flavor has no extra spec docker:profile (only operators write flavors).",
    ),
    cfg.IntOpt("pids_limit", default=4096, min=16, help="The most processes and threads one instance may have."),
    cfg.IntOpt("console_mb", default=4, min=1, help="MiB of console output kept per instance."),
    cfg.StrOpt(
        "network_host",
        help="The host name that Neutron's agent on this machine reports, where it is not [DEFAULT] host: beside "
        "another nova-compute that carries the machine's name.",
    ),
    cfg.DictOpt("labels", default={}, help="Labels added to every container and volume that the driver makes."),
]

CONF.register_group(GROUP)
CONF.register_opts(OPTS, group=GROUP)
