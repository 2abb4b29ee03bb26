"""`python -m benchmarks` is `python -m benchmarks.redirect`: the figure that the project promises."""

import sys

from benchmarks.redirect import main

sys.exit(main())
