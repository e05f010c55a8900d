"""What every test of the driver needs: the fake daemon, and no root."""

import io
import json
import os
import shutil
import tarfile
from unittest import mock

import requests  # noqa: F401  for the tests
from fake_docker import RECORDED, Daemon, Transport  # noqa: F401
from fixtures import TempDir  # noqa: F401


class Host:
    """Root's side of the driver: the interfaces and loop devices that were asked for."""

    def __init__(self):
        self.links, self.loops, self.devs, self.calls = {}, {}, set(), []

    def netns_links(self, pid):
        return dict(self.links.get(pid, {}))

    def add_veth(self, host_dev, guest_dev, mac, mtu, offload):
        self.devs.add(host_dev)
        self.calls.append(("add_veth", host_dev, mac, mtu, offload))
        self._mac = mac

    def give_veth(self, guest_dev, pid, name, addresses, gateways):
        self.links.setdefault(pid, {})[self._mac] = name
        self.calls.append(("give_veth", pid, name, addresses, gateways))

    def delete_dev(self, dev):
        self.devs.discard(dev)

    def set_master(self, dev, bridge):
        self.calls.append(("set_master", dev, bridge))

    def attach_loop(self, path, node):
        self.loops[path] = node

    def refresh_loop(self, path):
        self.calls.append(("refresh_loop", path))

    def detach_loop(self, path):
        self.loops.pop(path, None)

    def remove_tree(self, path):
        shutil.rmtree(path)


def add(archive, name, content):
    """Add a member."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def docker_save(path, tags=("tenant/app:1",)):
    """A small archive as ``docker save`` writes it."""
    with tarfile.open(path, "w") as archive:
        for name, content in (
            ("blobs/sha256/aa", b"config"),
            ("blobs/sha256/bb", b"layer"),
            ("index.json", json.dumps({"manifests": [{"digest": "x", "annotations": {"name": tags[0]}}]}).encode()),
            (
                "manifest.json",
                json.dumps(
                    [{"Config": "blobs/sha256/aa", "RepoTags": list(tags), "Layers": ["blobs/sha256/bb"]}]
                ).encode(),
            ),
        ):
            add(archive, name, content)


class Clearable:
    """Nova's TestCase empties its __dict__ at the end; pytest then removes an attribute that it had put there."""

    def __delattr__(self, name):
        self.__dict__.pop(name, None)


def install(test):
    """Put the fakes in place for a Nova test case. Returns (daemon, host)."""
    daemon, host = Daemon(), Host()
    patches = [
        mock.patch("docker.api.client.UnixHTTPAdapter", return_value=Transport(daemon)),
        mock.patch("nova.virt.images.fetch", lambda context, image_id, path: docker_save(path)),
        mock.patch("os_vif.plug"),
        mock.patch("os_vif.unplug"),
        mock.patch("nova.virt.docker.network.present", lambda dev: dev in host.devs),
    ]
    rooted = (name for name in dir(host) if not name.startswith("_") and callable(getattr(host, name)))
    patches += [mock.patch(f"nova.virt.docker.privsep.{name}", getattr(host, name)) for name in rooted]
    for patch in patches:
        patch.start()
        test.addCleanup(patch.stop)
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    return daemon, host
