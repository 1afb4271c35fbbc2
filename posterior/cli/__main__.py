"""``python -m posterior.cli`` and ``torchrun -m posterior.cli``: the ``seispost`` command."""

import sys

from posterior.cli import main

sys.exit(main())
