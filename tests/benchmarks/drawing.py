"""The dashboard as a child of the ingest benchmark: leaves by itself when it has had its messages, and says how fast.

python -m benchmarks.drawing PORT MESSAGES RESULT
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from fleetview.config import Flags, resolve
from fleetview.core.fleet import Fleet
from fleetview.core.received import Received
from fleetview.feeds.watch import FleetFeed
from fleetview.tui.app import FleetApp, Setup
from fleetview.tui.glyphs import UNICODE
from fleetview.tui.run import DashboardFeed


class CountingFleet(Fleet):
    """A fleet that stops the app after so many messages."""

    wanted = 0
    began = 0.0
    app: FleetApp

    def apply(self, received: Received) -> None:
        super().apply(received)
        if self.messages == 1:
            self.began = time.process_time()
        elif self.messages == self.wanted:
            self.app.exit(0)
            self.rate = self.wanted / (time.process_time() - self.began)


def main(port: str, messages: str, result: str) -> None:
    fleet = CountingFleet()
    fleet.wanted = int(messages)
    feed = FleetFeed(resolve(Flags(broker=f"mqtt://127.0.0.1:{port}"), environ={}), fleet)
    fleet.app = FleetApp(fleet, DashboardFeed(feed), Setup("bench", f"127.0.0.1:{port}", UNICODE))
    fleet.app.run()
    Path(result).write_text(json.dumps({"messages_per_s": fleet.rate}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
