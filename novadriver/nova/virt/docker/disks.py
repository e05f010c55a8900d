"""Ephemeral disks: sparse files on loop devices, so that a guest has the same /dev/vdb as a virtual machine."""

import os

from nova.virt import driver
from nova.virt.docker import errors, privsep
from oslo_concurrency import lockutils, processutils
from oslo_utils import units


def wanted(block_device_info):
    """[(device path in the guest, GiB)] of the ephemeral disks.

    :raises NotSupported: the request has volumes, a swap disk or encryption
    """
    if driver.block_device_info_get_mapping(block_device_info):
        raise errors.NotSupported(reason="volumes and booting from a volume")
    if driver.swap_is_usable(driver.block_device_info_get_swap(block_device_info)):
        raise errors.NotSupported(reason="a flavor with a swap disk")
    disks = driver.block_device_info_get_ephemerals(block_device_info)
    if any(disk.get("encrypted") for disk in disks):
        raise errors.NotSupported(reason="encrypted ephemeral disks")
    return [("/dev/" + disk["device_name"].removeprefix("/dev/"), disk["size"]) for disk in disks]


def _file(directory, index):
    return os.path.join(directory, f"disk.eph{index}")


def _files(directory):
    if not os.path.isdir(directory):
        return []
    return sorted(
        os.path.join(directory, name)
        for name in os.listdir(directory)
        if name.startswith("disk.eph") and not name.endswith(".dev")
    )


def create(directory, disks):
    """Make the files, unformatted. Returns docker's device mappings, ``node:path in the guest:rwm``."""
    mappings = []
    for index, (device, size) in enumerate(disks):
        with open(_file(directory, index), "ab") as file:
            file.truncate(size * units.Gi)
        mappings.append(f"{_file(directory, index)}.dev:{device}:rwm")
    return mappings


def attach(directory):
    """Attach every ephemeral disk of the instance; done before each start, harmless when it already is.

    :raises NotSupported: the host has no loop devices to give
    """
    with lockutils.lock("docker-loop"):
        for path in _files(directory):
            try:
                privsep.attach_loop(path, path + ".dev")
            except (processutils.ProcessExecutionError, OSError) as error:
                raise errors.NotSupported(
                    reason=f"an ephemeral disk on this host: no loop device ({error}). Use a flavor without one."
                ) from error


def grow(directory, size):
    """Make the first ephemeral disk ``size`` GiB; a smaller size is ignored, as the data could not survive it."""
    for path in _files(directory)[:1]:
        if os.path.getsize(path) < size * units.Gi:
            os.truncate(path, size * units.Gi)
            privsep.refresh_loop(path)


def detach(directory):
    """Detach every loop device of the instance."""
    for path in _files(directory):
        privsep.detach_loop(path)
