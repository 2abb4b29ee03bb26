"""`python -m benchmarks` is `python -m benchmarks.redirect`: the figure that is promised."""

import sys

from benchmarks.redirect import main

sys.exit(main())
