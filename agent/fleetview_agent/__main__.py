"""`python -m fleetview_agent` is `fleetview-agent`."""

import sys

from fleetview_agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
