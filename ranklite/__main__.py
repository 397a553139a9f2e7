"""`python -m ranklite` is the command `ranklite`."""

import sys

from ranklite.pipeline.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
