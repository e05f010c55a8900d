"""What `destroy` takes away beside labs: told here, since only the command line stands above every study."""

from __future__ import annotations

from lab.dbod.dockerhost import records, storage
from lab.density.host import journal
from lab.lifecycle.destroy import Sweepers

SWEEPERS = Sweepers(of_lab=(storage.release,), databases=records.held, of_host=(journal.sweep_host,))
