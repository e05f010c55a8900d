"""What `destroy` takes away beside labs: told here, since only the command line stands above every study."""

from __future__ import annotations

from lab.dbod.dockerhost import storage
from lab.density.host import journal
from lab.lifecycle.destroy import Sweepers

SWEEPERS = Sweepers(of_lab=(storage.release,), of_host=(journal.sweep_host,))
