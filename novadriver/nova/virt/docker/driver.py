"""The compute driver: Nova's calls put in order; each noun has its own module."""

import os

import os_vif
from nova import context as nova_context
from nova import exception, utils
from nova.compute import power_state, task_states
from nova.image import glance
from nova.network import model, neutron
from nova.virt import driver
from nova.virt.docker import configdrive, containers, disks, errors, host, images, network, privsep
from nova.virt.docker.conf import CONF
from oslo_concurrency import processutils
from oslo_log import log as logging
from oslo_utils import excutils, fileutils

try:
    EventTimeout = exception.InstanceEventTimeout
except AttributeError:  # Nova < 33 waits with eventlet
    from eventlet.timeout import Timeout as EventTimeout

LOG = logging.getLogger(__name__)


class DockerDriver(driver.ComputeDriver):
    """Runs every instance as one Docker container."""

    capabilities = {
        **driver.ComputeDriver.capabilities,
        "has_imagecache": True,
        "supports_attach_interface": True,
        "supports_migrate_to_same_host": True,
        "supports_image_type_raw": True,
    }

    def __init__(self, virtapi):
        super().__init__(virtapi)
        self._containers = containers.Containers()

    # The host

    def init_host(self, host):
        os_vif.initialize()
        # the privileged helper takes seconds to start: not within the first spawn
        privsep.netns_links(os.getpid())
        info = self._containers.info()
        for key, what in (("MemoryLimit", "memory"), ("CpuCfsQuota", "CPU"), ("PidsLimit", "process")):
            if not info.get(key):
                LOG.warning("This Docker cannot enforce %s limits: flavors are promises here, not limits.", what)

    def get_available_nodes(self, refresh=False):
        return [CONF.host]

    def get_available_resource(self, nodename):
        return host.resources(self._containers.info(), self._containers.inspect_all())

    def update_provider_tree(self, provider_tree, nodename, allocations=None):
        ratios = self._get_allocation_ratios(provider_tree.data(nodename).inventory)
        reserved = self._get_reserved_host_disk_gb_from_config()
        available = host.resources(self._containers.info(), [])
        provider_tree.update_inventory(nodename, host.inventory(available, ratios, reserved))

    def get_host_ip_addr(self):
        return CONF.my_ip

    def get_host_uptime(self):
        return processutils.execute("env", "LANG=C", "uptime")[0]

    def network_binding_host_id(self, context, instance):
        return CONF.docker.network_host or instance.host

    def manages_network_binding_host_id(self):
        return bool(CONF.docker.network_host)

    def default_root_device_name(self, instance, image_meta, root_bdm):
        return "/dev/vda"

    def manage_image_cache(self, context, all_instances):
        if CONF.image_cache.remove_unused_base_images:
            with errors.translated():
                images.remove_unused(self._containers.client)

    # What there is

    def list_instances(self):
        return self._containers.labels(containers.NAME)

    def list_instance_uuids(self):
        return self._containers.labels(containers.UUID)

    def instance_exists(self, instance):
        return self._containers.exists(instance)

    instance_on_disk = instance_exists

    def get_info(self, instance, use_cache=True):
        return self._containers.info_of(instance)

    def cache_image(self, context, image_id):
        return images.cache(self._containers.client, context, image_id)

    def get_console_output(self, context, instance):
        return self._containers.console(instance)

    # Life and death

    def spawn(
        self, context, instance, image_meta, injected_files, admin_password, allocations,
        network_info=None, block_device_info=None, power_on=True, accel_info=None,
    ):  # fmt: skip
        network_info = network_info or []
        directory = self._directory(instance)
        try:
            containers.profile(instance.flavor)
            ephemerals = disks.wanted(block_device_info)
            image = images.ensure(self._containers.client, context, image_meta)
            fileutils.ensure_tree(directory)
            seed = None
            if configdrive.required_by(instance):
                seed = (os.path.join(directory, "configdrive"), configdrive.SEED)
                configdrive.write(instance, seed[0], injected_files, admin_password, network_info)
            mappings = disks.create(directory, ephemerals)
            names = network.guest_names(network_info)
            self._containers.create(instance, image, mappings, seed, names[-1] if names else None)
            if power_on:
                self._start(instance, network_info, wait=True)
                self._containers.check_alive(instance)
        except Exception as error:
            with excutils.save_and_reraise_exception() as reraise:
                try:
                    self.destroy(context, instance, network_info, block_device_info)
                except Exception:
                    LOG.exception("Cleaning up after a failed spawn failed too", instance=instance)
                if isinstance(error, errors.DockerError):
                    # it would be refused on every other host too; so the user sees the reason
                    reraise.reraise = False
                    raise exception.BuildAbortException(
                        instance_uuid=instance.uuid, reason=error.format_message()
                    ) from error

    @staticmethod
    def _directory(instance):
        return os.path.join(CONF.instances_path, instance.uuid)

    def _start(self, instance, network_info, wait=False):
        """Attach the disks, start the container, plug its ports, and (``wait``) hear from Neutron that they work."""
        network_info = self._bound(instance, network_info)
        disks.attach(self._directory(instance))
        static = containers.profile(instance.flavor) == "plain"
        events = network.events(network_info) if wait and CONF.vif_plugging_timeout else []
        try:
            # by position: Nova 31 calls the third one deadline, Nova 33 timeout
            with self.virtapi.wait_for_instance_event(
                instance, events, CONF.vif_plugging_timeout, self._plugging_failed
            ):
                network.plug(instance, self._containers.start(instance), network_info, static)
        except EventTimeout:
            LOG.warning("Timeout waiting for %s", events, instance=instance)
            if CONF.vif_plugging_is_fatal:
                raise exception.VirtualInterfaceCreateException() from None

    @staticmethod
    def _bound(instance, network_info):
        """The ports, bound where Neutron's agent is: a resize binds them to the compute service's own name."""
        if not CONF.docker.network_host or model.VIF_TYPE_BINDING_FAILED not in [v["type"] for v in network_info]:
            return network_info
        admin, ports = nova_context.get_admin_context(), neutron.API()
        ports.setup_instance_network_on_host(admin, instance, CONF.docker.network_host)
        return ports.get_instance_nw_info(admin, instance)

    @staticmethod
    def _plugging_failed(event_name, instance):
        LOG.error("Neutron reported failure on %s", event_name, instance=instance)
        if CONF.vif_plugging_is_fatal:
            raise exception.VirtualInterfaceCreateException()

    def destroy(
        self, context, instance, network_info, block_device_info=None, destroy_disks=True, destroy_secrets=True
    ):  # fmt: skip
        if not destroy_disks:
            # a resize that is taken back: the container is the disk
            if self._containers.exists(instance):
                self._containers.stop(instance, 0)
            network.unplug(instance, network_info)
            return
        self._containers.remove(instance)
        self.cleanup(context, instance, network_info, block_device_info)

    def cleanup(
        self, context, instance, network_info, block_device_info=None, destroy_disks=True, migrate_data=None,
        destroy_vifs=True, destroy_secrets=True,
    ):  # fmt: skip
        if destroy_vifs:
            network.unplug(instance, network_info)
        if destroy_disks:
            self._containers.remove(instance)
            self.delete_instance_files(instance)

    def delete_instance_files(self, instance):
        directory = self._directory(instance)
        disks.detach(directory)
        if os.path.isdir(directory):
            privsep.remove_tree(directory)
        return True

    # Power

    def power_off(self, instance, timeout=0, retry_interval=0):
        self._containers.stop(instance, timeout)

    def power_on(
        self, context, instance, network_info, block_device_info=None, accel_info=None, share_info=None
    ):  # fmt: skip
        self._start(instance, network_info)

    def reboot(
        self, context, instance, network_info, reboot_type, block_device_info=None, bad_volumes_callback=None,
        accel_info=None, share_info=None,
    ):  # fmt: skip
        self._containers.stop(instance, CONF.shutdown_timeout if reboot_type == "SOFT" else 0)
        self._start(instance, network_info)

    def resume_state_on_host_boot(self, context, instance, network_info, share_info, block_device_info=None):
        if self.get_info(instance).state not in (power_state.RUNNING, power_state.PAUSED):
            self._start(instance, network_info)

    def pause(self, instance):
        self._containers.pause(instance)

    def unpause(self, instance):
        self._containers.unpause(instance)

    # Network

    def plug_vifs(self, instance, network_info):
        pid = self._containers.pid(instance)
        if pid:
            network.plug(instance, pid, network_info, containers.profile(instance.flavor) == "plain")

    def unplug_vifs(self, instance, network_info):
        network.unplug(instance, network_info)

    def attach_interface(self, context, instance, image_meta, vif):
        try:
            self.plug_vifs(instance, [vif])
        except exception.NovaException as error:
            LOG.exception("Attaching port %s failed", vif["id"], instance=instance)
            raise exception.InterfaceAttachFailed(instance_uuid=instance.uuid) from error

    def detach_interface(self, context, instance, vif):
        network.unplug(instance, [vif])

    # Resize, always in place

    def check_instance_shared_storage_local(self, context, instance):
        return {"host": CONF.host}

    def check_instance_shared_storage_remote(self, context, data):
        return data["host"] == CONF.host

    def check_instance_shared_storage_cleanup(self, context, data):
        """Nothing was made."""

    def migrate_disk_and_power_off(
        self, context, instance, dest, flavor, network_info, block_device_info=None, timeout=0, retry_interval=0
    ):  # fmt: skip
        refused, before = None, instance.flavor
        if dest != self.get_host_ip_addr():
            refused = "moving a container to another host"
        elif flavor.ephemeral_gb < before.ephemeral_gb or flavor.root_gb < before.root_gb:
            refused = "making a disk smaller"
        if refused:
            raise exception.InstanceFaultRollback(inner_exception=errors.NotSupported(reason=refused))
        self.power_off(instance, timeout, retry_interval)
        return ""

    def finish_migration(
        self, context, migration, instance, disk_info, network_info, image_meta, resize_instance, allocations,
        block_device_info=None, power_on=True,
    ):  # fmt: skip
        self._containers.update_limits(instance)
        disks.grow(self._directory(instance), instance.flavor.ephemeral_gb)
        if power_on:
            self._start(instance, network_info)

    def confirm_migration(self, context, migration, instance, network_info):
        """Nothing of the old size is left to remove."""

    def finish_revert_migration(
        self, context, instance, network_info, migration, block_device_info=None, power_on=True
    ):  # fmt: skip
        self._containers.update_limits(instance)
        if power_on:
            self._start(instance, network_info)

    # Images

    def snapshot(self, context, instance, image_id, update_task_state):
        if not self._containers.exists(instance):
            raise exception.InstanceNotRunning(instance_id=instance.uuid)
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        image = self._containers.commit(instance, f"nova-snapshot/{image_id}")
        try:
            update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
            service, image_id = glance.get_remote_image_service(context, image_id)
            metadata = {
                "status": "active",
                "disk_format": "raw",
                "container_format": "docker",
                "properties": {"image_location": "snapshot", "image_state": "available"},
            }
            with utils.tempdir(dir=CONF.instances_path) as directory:
                path = os.path.join(directory, "snapshot.tar")
                with errors.translated(instance), open(path, "wb") as file:
                    for chunk in image.save():
                        file.write(chunk)
                with open(path, "rb") as file:
                    service.update(context, image_id, metadata, file, purge_props=False)
        finally:
            with errors.translated():
                self._containers.client.images.remove(image.id, force=True)
