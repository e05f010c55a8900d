"""Nova's own generic driver test, run against this driver."""

import base
from nova import exception, test
from nova.tests.unit.virt import test_virt_drivers as nova_tests


class DockerContractTestCase(base.Clearable, nova_tests._VirtDriverTestCase, test.TestCase):
    def setUp(self):
        self.driver_module = "nova.virt.docker.DockerDriver"
        super().setUp()
        self.daemon, self.host = base.install(self)

    def test_live_migration(self):
        self.skipTest("A container cannot move to another host while it runs.")

    def test_live_migration_force_complete(self):
        self.skipTest("Reads an attribute that only libvirt's driver has.")

    def test_migrate_disk_and_power_off(self):
        with self.assertRaisesRegex(exception.InstanceFaultRollback, "to another host"):
            super().test_migrate_disk_and_power_off()

    def test_loads_by_name(self):
        self.flags(compute_driver="docker.DockerDriver")
        assert type(nova_tests.manager.ComputeManager().driver).__name__ == "DockerDriver"
