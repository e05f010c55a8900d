"""Instances as containers: how one is made from an instance and a flavor, found, started, stopped and removed."""

import contextlib
import os

import docker
import docker.errors
import requests.exceptions
from nova import exception
from nova.compute import power_state
from nova.virt import hardware
from nova.virt.docker import errors, host
from nova.virt.docker.conf import CONF
from oslo_utils import units

UUID, NAME, HOST, PROJECT = "nova.uuid", "nova.name", "nova.host", "nova.project"
CGROUPS = "/sys/fs/cgroup"

WAIT = 'until [ -e "/sys/class/net/$1" ]; do sleep 0.05; done; shift; exec "$@"'
"""A guest's init must not look at its interfaces before they are there: they come after the container's start."""


def container_name(instance):
    """The container's name; it lets nothing but the instance's id through."""
    return f"nova-{instance.uuid}"


def profile(flavor):
    """``plain`` or ``system``, from the flavor's extra spec docker:profile or the option.

    :raises NotSupported: the extra spec says something else
    """
    chosen = flavor.extra_specs.get("docker:profile", CONF.docker.profile)
    if chosen not in ("plain", "system"):
        raise errors.NotSupported(reason=f"flavor extra spec docker:profile={chosen}; it can be plain or system")
    return chosen


class Containers:
    """The driver's own containers in one Docker daemon; others on it are never touched."""

    def __init__(self):
        self._client = None

    @property
    def client(self):
        """The SDK's client, connected at first use."""
        if self._client is None:
            with errors.translated():
                self._client = docker.DockerClient(base_url=CONF.docker.url, timeout=CONF.docker.timeout)
        return self._client

    def info(self):
        """The daemon's own description of itself and its host."""
        with errors.translated():
            return self.client.info()

    def _own(self, **more):
        filters = {"label": [f"{HOST}={CONF.host}"] + [f"{k}={v}" for k, v in more.items()]}
        with errors.translated():
            return self.client.containers.list(all=True, sparse=True, filters=filters)

    def labels(self, key):
        """The value of one label of every own container."""
        return [container.attrs["Labels"][key] for container in self._own()]

    def inspect_all(self):
        """Every own container as Docker's inspect shows it; one that goes away meanwhile is left out."""
        found = []
        for container in self._own():
            with contextlib.suppress(docker.errors.NotFound):
                found.append(self.client.api.inspect_container(container.id))
        return found

    @contextlib.contextmanager
    def get(self, instance):
        """The instance's container, with the SDK's errors turned into Nova's. Raises: InstanceNotFound."""
        with errors.translated(instance):
            yield self.client.containers.get(container_name(instance))

    def exists(self, instance):
        """Whether the instance has a container."""
        with contextlib.suppress(exception.InstanceNotFound), self.get(instance):
            return True
        return False

    def info_of(self, instance):
        """Nova's InstanceInfo."""
        with self.get(instance) as container:
            state = container.attrs["State"]
        found = power_state.CRASHED if state["Dead"] else power_state.SHUTDOWN
        if state["Running"]:
            found = power_state.PAUSED if state["Paused"] else power_state.RUNNING
        return hardware.InstanceInfo(state=found, internal_id=container.id)

    def create(self, instance, image, devices, seed, last_interface):
        """Make the container, not started.

        :param image: Docker name of the image
        :param devices: device mappings of the ephemeral disks
        :param seed: (directory on the host, place in the guest) of the config drive, or None
        :param last_interface: the interface a system container waits for before its init runs, or None
        """
        flavor, labels = instance.flavor, self._labels(instance)
        system = profile(flavor) == "system"
        api = self.client.api
        with errors.translated():
            config = self.client.images.get(image).attrs["Config"] or {}
            mounts = self._volumes(instance, config.get("Volumes") or {}, labels)
            if seed:
                mounts.append(docker.types.Mount(seed[1], seed[0], type="bind", read_only=True))
            host_config = api.create_host_config(
                network_mode="none",
                devices=devices,
                mounts=mounts,
                log_config=docker.types.LogConfig(
                    type="json-file", config={"max-size": f"{CONF.docker.console_mb}m", "max-file": "1"}
                ),
                **self._limits(flavor),
                **(self._system_options() if system else {}),
            )
            if room := self._root_room(flavor):
                host_config["StorageOpt"] = {"size": room}
            command, entrypoint = None, None
            if system:
                # Docker hides and write-protects parts of /proc by these lists; the SDK has no argument for them
                host_config.update({"MaskedPaths": [], "ReadonlyPaths": []})
                command = (config.get("Entrypoint") or []) + (config.get("Cmd") or []) or ["/sbin/init"]
                if last_interface:
                    entrypoint = ["/bin/sh", "-c", WAIT, "sh", last_interface]
            api.create_container(
                image,
                command,
                name=container_name(instance),
                hostname=instance.hostname,
                entrypoint=entrypoint,
                labels=labels,
                tty=True,
                # systemd and cloud-init's ds-identify look for these in PID 1's environment
                environment={"container": "docker", "product_name": "OpenStack Nova"},
                stop_signal="SIGRTMIN+3" if system else None,
                host_config=host_config,
            )

    def _labels(self, instance):
        own = {UUID: instance.uuid, NAME: instance.name, HOST: CONF.host, PROJECT: instance.project_id or ""}
        return {**CONF.docker.labels, **own}

    def _limits(self, flavor):
        """The flavor's limits, as far as this daemon can enforce them: it refuses some that it cannot."""
        info, limits = self.info(), {}
        if info["MemoryLimit"]:
            limits["mem_limit"] = limits["memswap_limit"] = flavor.memory_mb * units.Mi
        if info["CpuCfsQuota"]:
            limits["nano_cpus"] = min(flavor.vcpus, info["NCPU"]) * 10**9
        if info["PidsLimit"]:
            limits["pids_limit"] = CONF.docker.pids_limit
        return limits

    def _root_room(self, flavor):
        """The flavor's root disk as Docker's size of the container's layer; None where its store holds no limit.

        It does with btrfs, with ZFS, and with overlay2 on an XFS that counts by project (mount option pquota).
        """
        info = self.info()
        backing = dict(info.get("DriverStatus") or []).get("Backing Filesystem")
        holds = info["Driver"] in ("btrfs", "zfs") or (
            info["Driver"] == "overlay2" and backing == "xfs" and host.counts_projects(info["DockerRootDir"])
        )
        return f"{flavor.root_gb}G" if holds and flavor.root_gb else None

    def _system_options(self):
        hybrid = f"{CGROUPS}/unified"
        tree = hybrid if self.info().get("CgroupVersion") == "1" and os.path.isdir(hybrid) else CGROUPS
        return {
            # where the daemon maps users (userns-remap), plain guests keep that; whose init is root's cannot
            **({"userns_mode": "host"} if host.maps_users(self.info()) else {}),
            "cap_add": host.capabilities(),
            "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
            "cgroupns": "host",
            "binds": {tree: {"bind": CGROUPS, "mode": "rw"}},
            "tmpfs": {"/run": "exec", "/run/lock": ""},
        }

    def _volumes(self, instance, declared, labels):
        """A labelled volume for each that the image declares: an anonymous one could not be found again."""
        mounts = []
        for index, target in enumerate(sorted(declared)):
            volume = self.client.volumes.create(f"{container_name(instance)}-{index}", labels=labels)
            mounts.append(docker.types.Mount(target, volume.name, type="volume"))
        return mounts

    def update_limits(self, instance):
        """Give the container the limits of the instance's flavor (it must not be running)."""
        # the SDK's own update knows no NanoCpus
        keys = {"mem_limit": "Memory", "memswap_limit": "MemorySwap", "nano_cpus": "NanoCpus"}
        data = {keys[key]: value for key, value in self._limits(instance.flavor).items() if key in keys}
        with self.get(instance) as container:
            api = self.client.api
            api._raise_for_status(api._post_json(api._url("/containers/{0}/update", container.id), data=data))

    def start(self, instance):
        """Start it and return the host's process id of its init."""
        with self.get(instance) as container:
            container.start()
        return self.pid(instance)

    def pid(self, instance):
        """The host's process id of its init, 0 when it does not run."""
        with self.get(instance) as container:
            return container.attrs["State"]["Pid"]

    def check_alive(self, instance):
        """See that it still runs after its start.

        :raises ImageUnacceptable: it ended; the reason is the exit code with the last lines of its console
        """
        with self.get(instance) as container:
            state = container.attrs["State"]
            if state["Running"]:
                return
            last = container.logs(tail=5).decode(errors="replace").strip() or "empty"
        why = "it ran out of the flavor's memory" if state["OOMKilled"] else f"it ended with code {state['ExitCode']}"
        raise exception.ImageUnacceptable(
            image_id=instance.image_ref, reason=f"the container did not stay up: {why}. Console: {last}"
        )

    def stop(self, instance, timeout):
        """Stop it: ``timeout`` seconds for the guest to do so itself, then kill."""
        self.unpause(instance)
        with self.get(instance) as container:
            container.stop(timeout=timeout)

    def pause(self, instance):
        """Freeze every process."""
        with self.get(instance) as container:
            container.pause()

    def unpause(self, instance):
        """Thaw; a container that is not frozen is left alone."""
        with self.get(instance) as container:
            if container.status == "paused":
                container.unpause()

    def console(self, instance):
        """The end of what the guest wrote to its console, one character per byte: Nova encodes it back so."""
        with self.get(instance) as container:
            return container.logs(tail=10000).decode("latin-1")

    def commit(self, instance, repository):
        """An image of the root file system as it is now (volumes and ephemeral disks are not in it)."""
        with self.get(instance) as container:
            return container.commit(repository=repository, pause=container.status == "running")

    def remove(self, instance):
        """Remove the container and its volumes; what is already gone is no error."""
        with errors.translated():
            try:
                self.client.containers.get(container_name(instance)).remove(force=True, v=True)
            except docker.errors.NotFound:
                pass  # an earlier removal, or a spawn that failed before
            except (requests.exceptions.ReadTimeout, docker.errors.APIError) as error:
                # a removal that an earlier, killed nova-compute began
                if "already in progress" not in str(error):
                    raise
            for volume in self.client.volumes.list(filters={"label": f"{UUID}={instance.uuid}"}):
                volume.remove()
