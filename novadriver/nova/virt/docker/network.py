"""One veth pair per port: os-vif makes the switch's port of the host end, the guest end moves into the container."""

import os

import os_vif
from nova import exception
from nova.network import model, os_vif_util
from nova.virt.docker import privsep
from os_vif import exception as os_vif_exception
from os_vif import objects as os_vif_objects
from oslo_concurrency import processutils
from oslo_log import log as logging

LOG = logging.getLogger(__name__)


def host_dev(vif):
    """The host's end, by Neutron's name for it."""
    return vif.get("devname") or f"tap{vif['id']}"[: model.NIC_NAME_LEN]


def _guest_dev(vif):
    return f"nd{vif['id']}"[: model.NIC_NAME_LEN]


def present(dev):
    """Whether the host has an interface of that name."""
    return os.path.exists(f"/sys/class/net/{dev}")


def guest_names(network_info):
    """Names the guest's interfaces get, in Nova's order."""
    return [f"eth{index}" for index in range(len(network_info))]


def events(network_info):
    """Neutron's events to wait for: ports that are not yet active."""
    return [("network-vif-plugged", vif["id"]) for vif in network_info if vif.get("active", True) is False]


def _os_vif(vif):
    obj = os_vif_util.nova_to_osvif_vif(vif)
    if obj is None:
        raise exception.InternalError(f"The Docker driver cannot plug a port of type {vif['type']}")
    obj.vif_name = host_dev(vif)
    if isinstance(obj, os_vif_objects.vif.VIFOpenVSwitch):
        # libvirt adds its tap to the bridge itself; here os-vif has to
        obj.port_profile.create_port = True
    return obj


def plug(instance, pid, network_info, static):
    """Plug every port into the container whose init is ``pid``; a port that is already there is left alone.

    :param static: set addresses and the default route from here (for images that configure no network themselves)
    :raises VirtualInterfacePlugException: a port could not be plugged
    """
    try:
        there = privsep.netns_links(pid)
        names = [name for name in guest_names(range(64)) if name not in there.values()]
        for vif in network_info:
            if vif["address"] not in there or not present(host_dev(vif)):
                _plug(instance, pid, vif, names.pop(0), static)
    except (processutils.ProcessExecutionError, os_vif_exception.ExceptionBase) as error:
        raise exception.VirtualInterfacePlugException(f"Plugging failed: {error}") from error


def _plug(instance, pid, vif, name, static):
    obj = _os_vif(vif)
    offload = vif.get("details", {}).get(model.VIF_DETAILS_OVS_DATAPATH_TYPE) != model.VIF_DETAILS_OVS_DATAPATH_NETDEV
    mtu = vif["network"].get_meta("mtu") or 1500
    # Open vSwitch's userspace datapath keeps the old device's socket when a device comes back under its name
    os_vif.unplug(obj, os_vif_util.nova_to_osvif_instance(instance))
    privsep.add_veth(host_dev(vif), _guest_dev(vif), vif["address"], mtu, offload)
    os_vif.plug(obj, os_vif_util.nova_to_osvif_instance(instance))
    if isinstance(obj, os_vif_objects.vif.VIFBridge):
        privsep.set_master(host_dev(vif), obj.bridge_name)
    addresses, gateways = _addressing(vif) if static else ([], [])
    privsep.give_veth(_guest_dev(vif), pid, name, addresses, gateways)


def _addressing(vif):
    addresses, gateways = [], []
    for subnet in vif["network"]["subnets"]:
        prefix = subnet["cidr"].rsplit("/", 1)[1]
        addresses += [f"{ip['address']}/{prefix}" for ip in subnet["ips"]]
        gateway = (subnet.get("gateway") or {}).get("address")
        if gateway and subnet["version"] == 4:
            gateways.append(gateway)
    return addresses, gateways


def unplug(instance, network_info):
    """Remove every port's interface and its switch port; what is already gone is no error."""
    for vif in network_info or []:
        try:
            obj = _os_vif(vif)
            os_vif.unplug(obj, os_vif_util.nova_to_osvif_instance(instance))
            privsep.delete_dev(host_dev(vif))
        except (exception.NovaException, processutils.ProcessExecutionError, os_vif_exception.ExceptionBase):
            LOG.exception("Failed to unplug port %s", vif["id"], instance=instance)
