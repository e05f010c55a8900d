"""The driver's own rules, on a daemon that answers as the recorded one does."""

import io
import os
import shutil
import tarfile
from unittest import mock

import base
import fake_docker
import os_vif
from nova import context, exception, objects, test
from nova.compute import power_state
from nova.network import model
from nova.tests.unit import fake_instance
from nova.virt import fake
from nova.virt.docker import containers, disks, errors, host
from nova.virt.docker.driver import DockerDriver
from oslo_utils import units

UUID = "11111111-2222-3333-4444-555555555555"


def port(number, active=True, datapath=None):
    subnet = model.Subnet(
        cidr="10.10.0.0/24",
        gateway=model.IP("10.10.0.1"),
        ips=[model.IP(f"10.10.0.{number}")],
        version=4,
    )
    network = model.Network(
        id=f"0000000{number}-1234-1234-1234-123456789012", bridge="br-int", subnets=[subnet], mtu=1442
    )
    return model.VIF(
        id=f"abcdef0{number}-1234-1234-1234-123456789012",
        address=f"fa:16:3e:00:00:0{number}",
        network=network,
        type=model.VIF_TYPE_OVS,
        devname=f"tapabcdef0{number}-12",
        details={"datapath_type": datapath} if datapath else {},
        active=active,
    )


class DriverTestCase(base.Clearable, test.NoDBTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.useFixture(base.TempDir()).path
        self.flags(instances_path=self.path, host="machine", config_drive_format="iso9660")
        self.daemon, self.host = base.install(self)
        self.driver = DockerDriver(fake.FakeVirtAPI())
        self.driver.init_host("machine")
        self.context = context.get_admin_context()

    def instance(self, ephemeral=0, memory=1024, vcpus=1, **specs):
        flavor = objects.Flavor(
            memory_mb=memory,
            vcpus=vcpus,
            root_gb=5,
            ephemeral_gb=ephemeral,
            swap=0,
            extra_specs=specs,
            name="f",
            id=1,
        )
        made = fake_instance.fake_instance_obj(
            self.context,
            uuid=UUID,
            flavor=flavor,
            hostname="db1",
            project_id="project",
            config_drive="",
            launched_at=None,
            system_metadata={},
            metadata={},
            expected_attrs=["system_metadata", "metadata"],
        )
        made.flavor = flavor
        made.memory_mb, made.vcpus = memory, vcpus
        return made

    def image(self):
        return objects.ImageMeta(id="99999999-0000-0000-0000-000000000000", checksum="0123456789abcdef")

    def spawn(self, instance=None, ports=(), **more):
        instance = instance or self.instance()
        self.driver.spawn(self.context, instance, self.image(), [], "secret", {}, network_info=list(ports), **more)
        return instance

    def container(self):
        (found,) = self.daemon.containers.values()
        return found

    def nothing_left(self):
        self.assertEqual(({}, {}), (self.daemon.containers, self.daemon.volumes))
        self.assertEqual(set(), self.host.devs)
        self.assertEqual({}, self.host.loops)
        self.assertFalse(os.path.exists(os.path.join(self.path, UUID)))


class SpawnTestCase(DriverTestCase):
    def test_flavor_becomes_limits_where_the_daemon_can(self):
        self.daemon.info.update(MemoryLimit=True, CpuCfsQuota=True, PidsLimit=True, NCPU=4)
        self.spawn(self.instance(memory=512, vcpus=2))
        config = self.container()["HostConfig"]
        self.assertEqual(
            (512 * units.Mi, 512 * units.Mi, 2 * 10**9, 4096),
            tuple(config[key] for key in ("Memory", "MemorySwap", "NanoCpus", "PidsLimit")),
        )

    def test_no_limit_is_asked_of_a_daemon_that_would_refuse(self):
        self.spawn(self.instance(vcpus=2))
        self.assertNotIn("NanoCpus", self.daemon.requests_to("/containers/create")["HostConfig"])

    def test_more_vcpus_than_the_host_has(self):
        self.daemon.info.update(CpuCfsQuota=True, NCPU=2)
        self.spawn(self.instance(vcpus=8))
        self.assertEqual(2 * 10**9, self.container()["HostConfig"]["NanoCpus"])

    def test_the_root_disk_is_limited_where_the_store_can(self):
        quota = os.path.join(self.path, "mounts")
        with open(quota, "w") as file:
            file.write(
                "/dev/a / ext4 rw 0 0\n/dev/b /var/lib xfs rw,prjquota 0 0\n/dev/c /var/lib/other xfs rw 0 0\n"
            )
        self.assertTrue(host.counts_projects("/var/lib/docker", quota))
        self.assertFalse(host.counts_projects("/var/lib/other/docker", quota))
        self.assertFalse(host.counts_projects("/var/library", quota))
        for driver, backing, counts, size in (
            ("btrfs", "", False, "5G"),
            ("overlay2", "xfs", True, "5G"),
            ("overlay2", "xfs", False, None),
            ("overlay2", "extfs", True, None),
        ):
            self.daemon.info.update(Driver=driver, DriverStatus=[["Backing Filesystem", backing]])
            with mock.patch.object(host, "counts_projects", return_value=counts):
                self.spawn()
            asked = self.daemon.requests_to("/containers/create")["HostConfig"]
            self.assertEqual({"size": size} if size else None, asked.get("StorageOpt"))
            self.driver.destroy(self.context, self.instance(), [])

    def test_plain_guests_keep_the_daemons_map_of_users(self):
        self.daemon.info.update(SecurityOptions=["name=seccomp,profile=default", "name=userns"])
        self.spawn()
        self.assertFalse(self.daemon.requests_to("/containers/create")["HostConfig"].get("UsernsMode"))
        self.driver.destroy(self.context, self.instance(), [])
        self.spawn(self.instance(**{"docker:profile": "system"}))
        self.assertEqual("host", self.daemon.requests_to("/containers/create")["HostConfig"]["UsernsMode"])

    def test_plain_keeps_dockers_confinement(self):
        self.spawn()
        asked = self.daemon.requests_to("/containers/create")
        for key in ("CapAdd", "SecurityOpt", "MaskedPaths", "CgroupnsMode", "Binds"):
            self.assertFalse(asked["HostConfig"].get(key), key)
        self.assertIsNone(asked.get("Entrypoint"))

    def test_system_waits_for_its_last_interface(self):
        self.spawn(self.instance(**{"docker:profile": "system"}), [port(1), port(2)])
        asked = self.daemon.requests_to("/containers/create")
        self.assertEqual(host.capabilities(), asked["HostConfig"]["CapAdd"])
        self.assertEqual([], asked["HostConfig"]["MaskedPaths"])
        self.assertEqual("eth1", asked["Entrypoint"][-1])
        self.assertEqual(["/sbin/init"], asked["Cmd"])
        self.assertEqual("SIGRTMIN+3", asked["StopSignal"])

    def test_capabilities_that_the_host_itself_lacks_are_not_asked_for(self):
        status = os.path.join(self.path, "status")
        for bounding, missing in ((0x3FFEFFFFFF, {"SYS_RESOURCE"}), (0x1FFFFFFFFFF, set())):
            with open(status, "w") as file:
                file.write(f"Name:\tinit\nCapBnd:\t{bounding:016x}\nCapAmb:\t{0:016x}\n")
            asked = host.capabilities(status)
            self.assertEqual(38 - len(missing), len(asked))
            self.assertEqual(missing, {"CHOWN", "SYS_ADMIN", "SYS_RESOURCE", "AUDIT_READ"} - set(asked))

    def test_profile_of_another_name_is_refused(self):
        with self.assertRaisesRegex(errors.NotSupported, "docker:profile=root"):
            self.spawn(self.instance(**{"docker:profile": "root"}))
        self.nothing_left()

    def test_labels_name_the_instance(self):
        self.flags(labels={"trove-lab": "lab"}, group="docker")
        instance = self.spawn()
        self.assertEqual(
            {"nova.uuid": UUID, "nova.name": instance.name, "nova.host": "machine", "nova.project": "project",
             "trove-lab": "lab"},
            self.container()["Config"]["Labels"],
        )  # fmt: skip

    def test_the_images_volumes_are_labelled_ones(self):
        self.spawn()
        declared = self.daemon.declared_volumes()
        self.assertTrue(declared)
        self.assertEqual(len(declared), len(self.daemon.volumes))
        self.assertEqual({UUID}, {volume["Labels"]["nova.uuid"] for volume in self.daemon.volumes.values()})

    def test_config_drive_is_a_read_only_bind_mount(self):
        self.flags(force_config_drive=True)
        with mock.patch("nova.virt.docker.configdrive.metadata.InstanceMetadata") as metadata:
            metadata.return_value.metadata_for_config_drive.return_value = [
                ("openstack/latest/user_data", b"#cloud-config\n")
            ]
            self.spawn(ports=[port(1)])
        (mount,) = [
            m for m in self.daemon.requests_to("/containers/create")["HostConfig"]["Mounts"] if m["Type"] == "bind"
        ]
        self.assertEqual(("/var/lib/cloud/seed/config_drive", True), (mount["Target"], mount["ReadOnly"]))
        with open(os.path.join(mount["Source"], "openstack/latest/user_data")) as file:
            self.assertEqual("#cloud-config\n", file.read())
        self.assertEqual(0o700, os.stat(mount["Source"]).st_mode & 0o777)

    def test_offload_only_where_the_kernel_switches(self):
        self.spawn(ports=[port(1), port(2, datapath="netdev")])
        veths = [call for call in self.host.calls if call[0] == "add_veth"]
        self.assertEqual([(1442, True), (1442, False)], [call[3:] for call in veths])

    def test_plain_gets_its_addresses_from_the_driver_and_system_does_not(self):
        self.spawn(ports=[port(1)])
        self.assertIn((["10.10.0.1/24"], ["10.10.0.1"]), [c[3:] for c in self.host.calls if c[0] == "give_veth"])
        self.driver.destroy(self.context, self.instance(), [port(1)])
        self.spawn(self.instance(**{"docker:profile": "system"}), [port(1)])
        self.assertEqual(([], []), [c[3:] for c in self.host.calls if c[0] == "give_veth"][-1])

    def test_waits_for_inactive_ports_only(self):
        with mock.patch.object(self.driver.virtapi, "wait_for_instance_event") as wait:
            self.spawn(ports=[port(1, active=False), port(2)])
        self.assertEqual([("network-vif-plugged", port(1)["id"])], wait.call_args.args[1])

    def test_ephemeral_disk_is_a_loop_device_under_novas_name(self):
        disk = {"device_name": "vdb", "size": 2}
        self.spawn(self.instance(ephemeral=2), block_device_info={"ephemerals": [disk]})
        path = os.path.join(self.path, UUID, "disk.eph0")
        self.assertEqual((2 * units.Gi, path + ".dev"), (os.path.getsize(path), self.host.loops[path]))
        (device,) = self.daemon.requests_to("/containers/create")["HostConfig"]["Devices"]
        self.assertEqual((path + ".dev", "/dev/vdb"), (device["PathOnHost"], device["PathInContainer"]))

    def test_volumes_and_swap_are_refused(self):
        for info, words in (
            ({"block_device_mapping": [{"mount_device": "/dev/vdc"}]}, "volumes"),
            ({"swap": {"device_name": "/dev/vdc", "swap_size": 512}}, "swap"),
        ):
            with self.assertRaisesRegex(errors.NotSupported, words):
                self.spawn(block_device_info=info)
        self.nothing_left()

    def test_what_docker_refuses_is_what_the_user_reads_and_nothing_stays(self):
        recorded = base.RECORDED["errors"]["startbad"]
        self.daemon.failures["POST", r"/containers/.+/start"] = recorded["status"], recorded["body"]
        with self.assertRaisesRegex(exception.BuildAbortException, "stat /nope: no such file or directory"):
            self.spawn(ports=[port(1)], block_device_info={"ephemerals": [{"device_name": "/dev/vdb", "size": 1}]})
        self.nothing_left()

    def test_a_container_that_ends_at_once(self):
        started = fake_docker.start

        def dies(daemon, query, body, key):
            answer = started(daemon, query, body, key)
            daemon.find(key)["State"].update(Running=False, Status="exited", ExitCode=137, OOMKilled=True, Pid=0)
            return answer

        with mock.patch.object(
            fake_docker, "ROUTES", [("POST", r"/containers/([^/]+)/start", dies), *fake_docker.ROUTES]
        ):
            with self.assertRaisesRegex(exception.ImageUnacceptable, "ran out of the flavor's memory.*login: "):
                self.spawn()
        self.nothing_left()

    def test_a_silent_daemon_lets_nova_try_another_host(self):
        self.daemon.silent = True
        with self.assertRaisesRegex(errors.DockerUnreachable, "no such socket"):
            self.driver.list_instances()

    def test_failed_plugging_fails_the_spawn(self):
        os_vif.plug.side_effect = os_vif.exception.PlugException(vif="v", err="no bridge")
        with self.assertRaisesRegex(exception.VirtualInterfacePlugException, "no bridge"):
            self.spawn(ports=[port(1)])
        self.nothing_left()


class LifeTestCase(DriverTestCase):
    def test_destroy_twice_and_after_a_kill_in_the_middle(self):
        ports = [port(1)]
        instance = self.spawn(ports=ports, block_device_info={"ephemerals": [{"device_name": "/dev/vdb", "size": 1}]})
        recorded = {"message": "removal of container x is already in progress"}
        self.daemon.failures["DELETE", r"/containers/.+"] = 409, recorded
        self.driver._containers.remove(instance)
        self.daemon.failures.clear()
        for _ in range(2):
            self.driver.destroy(self.context, instance, ports)
            self.nothing_left()

    def test_states(self):
        instance = self.spawn()
        state = self.container()["State"]
        for change, expected in (
            ({}, power_state.RUNNING),
            ({"Paused": True}, power_state.PAUSED),
            ({"Paused": False, "Running": False}, power_state.SHUTDOWN),
            ({"Dead": True}, power_state.CRASHED),
        ):
            state.update(change)
            self.assertEqual(expected, self.driver.get_info(instance).state)

    def test_reboot_plugs_again_with_a_graceful_stop(self):
        instance = self.spawn(ports=[port(1)])
        before = self.container()["State"]["Pid"]
        self.driver.reboot(self.context, instance, [port(1)], "SOFT")
        after = self.container()["State"]["Pid"]
        self.assertNotEqual(before, after)
        self.assertEqual({"fa:16:3e:00:00:01": "eth0"}, self.host.links[after])
        stops = [query for method, path, query, _ in self.daemon.requests if path.endswith("/stop")]
        self.assertEqual([{"t": ["60"]}], stops)

    def test_a_port_that_comes_back_is_a_new_one_to_the_switch(self):
        instance = self.spawn(ports=[port(1)])
        os_vif.unplug.reset_mock()
        self.driver.reboot(self.context, instance, [port(1)], "HARD")
        self.assertEqual(1, os_vif.unplug.call_count)

    def test_plug_vifs_leaves_what_is_there(self):
        instance = self.spawn(ports=[port(1)])
        count = len(self.host.calls)
        self.driver.plug_vifs(instance, [port(1)])
        self.assertEqual(count, len(self.host.calls))

    def test_an_attached_interface_gets_the_next_free_name(self):
        instance = self.spawn(ports=[port(1)])
        self.driver.attach_interface(self.context, instance, None, port(2))
        self.assertEqual("eth1", self.host.links[self.container()["State"]["Pid"]]["fa:16:3e:00:00:02"])
        self.driver.detach_interface(self.context, instance, port(2))
        self.assertEqual({port(1)["devname"]}, self.host.devs)

    def test_resume_on_host_boot_starts_only_what_is_down(self):
        instance = self.spawn()
        self.driver.resume_state_on_host_boot(self.context, instance, [], None)
        pid = self.container()["State"]["Pid"]
        self.driver.power_off(instance)
        self.driver.resume_state_on_host_boot(self.context, instance, [], None)
        self.assertEqual(pid + 1, self.container()["State"]["Pid"])

    def test_only_own_containers_are_seen(self):
        self.spawn()
        self.container()["Config"]["Labels"]["nova.host"] = "another"
        self.assertEqual([], self.driver.list_instance_uuids())

    def test_console_with_bytes_that_are_no_text(self):
        console = self.driver.get_console_output(self.context, self.spawn())
        self.assertEqual(b"login: \xff\r\n", console.encode("latin-1"))


class ResizeTestCase(DriverTestCase):
    def setUp(self):
        super().setUp()
        self.flags(my_ip="10.0.0.9")
        self.daemon.info.update(MemoryLimit=True, CpuCfsQuota=True)
        self.made = self.spawn(
            self.instance(ephemeral=1), block_device_info={"ephemerals": [{"device_name": "/dev/vdb", "size": 1}]}
        )

    def off(self, dest="10.0.0.9", **changes):
        flavor = self.made.flavor.obj_clone()
        for key, value in changes.items():
            setattr(flavor, key, value)
        self.driver.migrate_disk_and_power_off(self.context, self.made, dest, flavor, [])
        self.made.flavor = flavor

    def test_up_and_back(self):
        self.off(memory_mb=2048, ephemeral_gb=3)
        self.driver.finish_migration(self.context, None, self.made, "", [], None, True, None)
        self.assertEqual(2048 * units.Mi, self.container()["HostConfig"]["Memory"])
        path = os.path.join(self.path, UUID, "disk.eph0")
        self.assertEqual(3 * units.Gi, os.path.getsize(path))
        self.assertIn(("refresh_loop", path), self.host.calls)
        self.driver.destroy(self.context, self.made, [], destroy_disks=False)
        self.assertFalse(self.container()["State"]["Running"])
        self.made.flavor.memory_mb = 1024
        self.driver.finish_revert_migration(self.context, self.made, [], None)
        self.assertEqual(
            (1024 * units.Mi, True), (self.container()["HostConfig"]["Memory"], self.container()["State"]["Running"])
        )

    def test_smaller_disk_and_other_host_are_taken_back_before_the_stop(self):
        for words, change in (("smaller", {"ephemeral_gb": 0}), ("another host", {"dest": "10.0.0.8"})):
            with self.assertRaisesRegex(exception.InstanceFaultRollback, words):
                self.off(**change)
        self.assertTrue(self.container()["State"]["Running"])

    def test_same_host_means_shared_storage(self):
        data = self.driver.check_instance_shared_storage_local(self.context, self.made)
        self.assertTrue(self.driver.check_instance_shared_storage_remote(self.context, data))


class ImageTestCase(DriverTestCase):
    def write(self, **members):
        path = os.path.join(self.path, "image.tar")
        with tarfile.open(path, "w") as archive:
            for name, content in members.items():
                base.add(archive, name.replace("__", "/"), content)
        return path

    def test_loaded_once(self):
        self.spawn()
        self.driver.destroy(self.context, self.instance(), [])
        self.spawn()
        self.assertEqual(1, sum(path == "/images/load" for _, path, _, _ in self.daemon.requests))
        self.assertEqual(
            "nova-glance/99999999-0000-0000-0000-000000000000:0123456789ab",
            self.daemon.requests_to("/containers/create")["Image"],
        )

    def upload(self, *content, config="c", layers='["l"]'):
        """Spawn from an archive of these members, (name, bytes) or TarInfo; none of them: a usual one."""
        path = os.path.join(self.path, "image.tar")
        manifest = f'[{{"Config": "{config}", "RepoTags": ["debian:13"], "Layers": {layers}}}]'.encode()
        with tarfile.open(path, "w") as archive:
            for member in (("c", b"{}"), ("l", b"layer"), *(content or [("manifest.json", manifest)])):
                if isinstance(member, tuple):
                    base.add(archive, *member)
                else:
                    archive.addfile(member)
        with mock.patch("nova.virt.images.fetch", lambda context, image_id, to: shutil.copy(path, to)):
            self.spawn()

    def refused(self, words, *content, **more):
        with self.assertRaisesRegex(exception.ImageUnacceptable, words):
            self.upload(*content, **more)
        self.nothing_left()
        self.assertEqual([], os.listdir(os.path.join(self.path, "_base")))
        self.assertEqual({}, self.daemon.images)

    def test_no_archive_names_an_image(self):
        self.upload(("repositories", b'{"debian": {"13": "l"}}'), *self.MANIFEST)
        (image,) = self.daemon.images.values()
        self.assertEqual(["nova-glance/99999999-0000-0000-0000-000000000000:0123456789ab"], image["RepoTags"])
        with tarfile.open(fileobj=io.BytesIO(self.daemon.loaded)) as archive:
            self.assertEqual(["manifest.json", "config.json", "layer-1.tar"], archive.getnames())
            self.assertEqual(b"layer", archive.extractfile("layer-1.tar").read())

    MANIFEST = (
        ("index.json", b'{"manifests": [{"annotations": {"io.containerd.image.name": "debian:13"}}]}'),
        ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
        ("manifest.json", b'[{"Config": "c", "RepoTags": [], "repotags": ["debian:13"], "Layers": ["l"]}]'),
    )

    def test_archives_that_are_refused_with_a_sentence(self):
        usual = ("manifest.json", b'[{"Config": "c", "Layers": ["l"]}]')
        folder = tarfile.TarInfo("manifest.json")
        folder.type = tarfile.DIRTYPE
        for words, content in (
            ("two members of one name", [usual, usual]),
            ("no manifest.json that is a file", [folder]),
            ("cannot be read", [("manifest.json", b"[" * 100000)]),
            ("larger than 1048576 bytes", [("manifest.json", usual[1] + b" " * 2**20)]),
            ("exactly one image", [("manifest.json", b"[{}, {}]")]),
        ):
            self.refused(words, *content)

    def test_root_file_system(self):
        path = self.write(usr__bin__sh=b"", etc__passwd=b"")
        with mock.patch("nova.virt.images.fetch", lambda context, image_id, to: shutil.copy(path, to)):
            self.spawn()
        self.assertIn("/images/create", [path for _, path, _, _ in self.daemon.requests])

    def test_a_load_that_docker_gives_up(self):
        recorded = base.RECORDED["errors"]["loadbad"]
        self.daemon.failures["POST", "/images/load"] = recorded["status"], recorded["body"]
        with self.assertRaisesRegex(exception.ImageUnacceptable, "unexpected EOF"):
            self.spawn()
        self.nothing_left()
        self.assertEqual([], os.listdir(os.path.join(self.path, "_base")))

    def test_unused_images_go_and_used_ones_stay(self):
        self.flags(remove_unused_original_minimum_age_seconds=0, group="image_cache")
        self.spawn()
        self.driver.manage_image_cache(self.context, [])
        self.assertEqual(1, len(self.daemon.images))
        self.driver.destroy(self.context, self.instance(), [])
        self.driver.manage_image_cache(self.context, [])
        self.assertEqual({}, self.daemon.images)


class HostTestCase(DriverTestCase):
    def test_version(self):
        self.assertEqual(26001005, host.version("26.1.5+dfsg1"))
        self.assertEqual(28002000, host.version("28.2"))

    def test_inventory_is_the_daemons_own_account(self):
        tree = mock.Mock()
        tree.data.return_value.inventory = {}
        self.flags(reserved_host_memory_mb=512, reserved_host_cpus=1)
        self.driver.update_provider_tree(tree, "machine")
        node, inventory = tree.update_inventory.call_args.args
        self.assertEqual("machine", node)
        self.assertEqual((2, 1), (inventory["VCPU"]["total"], inventory["VCPU"]["reserved"]))
        self.assertEqual(
            (25276502016 // units.Mi, 512), (inventory["MEMORY_MB"]["total"], inventory["MEMORY_MB"]["reserved"])
        )

    def test_ports_are_bound_to_the_host_that_neutron_knows(self):
        instance = self.instance()
        instance.host = "machine-docker"
        self.assertEqual("machine-docker", self.driver.network_binding_host_id(self.context, instance))
        self.flags(network_host="machine", group="docker")
        self.assertEqual("machine", self.driver.network_binding_host_id(self.context, instance))
        self.assertTrue(self.driver.manages_network_binding_host_id())

    def test_ports_that_a_resize_bound_to_the_compute_services_name_are_bound_again(self):
        failed, bound = [port(1)], [port(1)]
        failed[0]["type"] = model.VIF_TYPE_BINDING_FAILED
        self.assertIs(failed, self.driver._bound(self.instance(), failed))
        self.flags(network_host="machine", group="docker")
        self.assertIs(bound, self.driver._bound(self.instance(), bound))
        with mock.patch("nova.network.neutron.API") as api:
            api.return_value.get_instance_nw_info.return_value = bound
            self.assertIs(bound, self.driver._bound(self.instance(), failed))
        self.assertEqual("machine", api.return_value.setup_instance_network_on_host.call_args.args[2])

    def test_capabilities_are_the_ones_that_exist(self):
        true = {name for name, value in DockerDriver.capabilities.items() if value}
        self.assertEqual(
            {
                "has_imagecache",
                "supports_attach_interface",
                "supports_migrate_to_same_host",
                "supports_image_type_raw",
            },
            true,
        )

    def test_ephemeral_names_without_dev(self):
        self.assertEqual([("/dev/vdb", 1)], disks.wanted({"ephemerals": [{"device_name": "vdb", "size": 1}]}))
        self.assertEqual("nova-" + UUID, containers.container_name(self.instance()))
