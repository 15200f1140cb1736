"""`python -m fleetview`."""

import sys

from fleetview.cli import main

if __name__ == "__main__":
    sys.exit(main())
